"""From the figures of predicted frames, as the worker wrote them, to the tables of the report."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixmill.errors import CorruptFile

if TYPE_CHECKING:
    from reports.data import Better

WAYS = {"model": "model", "copy_last": "last frame again", "pixel_mean": "mean frame"}
MEASURES: "dict[str, tuple[str, Better]]" = {
    "mse": ("Mean squared error, pixels from 0 to 1", "lower"),
    "psnr": ("PSNR in dB, peak 1", "higher"),
    "ssim": ("SSIM", "higher"),
}


def step_tables(path: Path) -> dict[str, Any]:
    """The fields of a TrainSection about predicted frames.  Raises CorruptFile for a file of another form."""
    from reports.data import StepTable

    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        tables = [
            StepTable(measure=title, better=better, rows={shown: found[way][key] for way, shown in WAYS.items()})
            for key, (title, better) in MEASURES.items()
        ]
        note = f"On {found['sequences']:,} held-out sequences, after {found['given_frames']} given frames."
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptFile(f"{path} holds no figures of predicted frames: {error!r}") from error
    return {"steps": tables, "steps_note": note}
