"""The curves and grids of a training run, which may lie in the folders of several attempts.

An attempt that goes on from a checkpoint repeats what an earlier one had seen since: from the later attempt's first
entry on, the earlier series is cut off.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from imagemodels.traits import HIGHER_IS_BETTER
from pages.jsonlines import read_json_lines
from reports.data import Better, Grid, Series
from reports.numbers import count_text, number_text

Item = TypeVar("Item")

LOSSES = "losses.jsonl"
QUALITY = "quality.jsonl"
COLLAPSES = "collapses.jsonl"
REALS = "reals.png"
SAMPLES = "samples-*.png"


@dataclass(frozen=True, kw_only=True)
class TrainHistory:
    """What a run left behind."""

    losses: Sequence[Series]
    quality: Series | None
    grids: Sequence[Grid]
    reals: Path | None
    images_seen: int | None
    images_per_second: float | None  # at the end
    warnings: Sequence[str]


def read_history(folders: Sequence[Path], metric_name: str | None) -> TrainHistory:
    """Put the attempts' files together; `folders` are in order of time, and may lack any file.  Raises CorruptFile."""
    losses = _joined([list(read_json_lines(folder / LOSSES)) for folder in folders], _images)
    quality = _joined([list(read_json_lines(folder / QUALITY)) for folder in folders], _images)
    grids = _joined([sorted(folder.glob(SAMPLES)) for folder in folders], _grid_images)
    reals = next((folder / REALS for folder in folders if (folder / REALS).is_file()), None)
    return TrainHistory(
        losses=_loss_series(losses),
        quality=_quality_series(quality, metric_name or "quality"),
        grids=[Grid(images_seen=_grid_images(path), image=path) for path in grids],
        reals=reals,
        images_seen=_images(losses[-1]) if losses else None,
        images_per_second=losses[-1].get("rate") if losses else None,
        warnings=_collapses(entry for folder in folders for entry in read_json_lines(folder / COLLAPSES)),
    )


def last_grid(folders: Sequence[Path]) -> Path | None:
    """The last of the grids of such attempts."""
    grids = _joined([sorted(folder.glob(SAMPLES)) for folder in folders], _grid_images)
    return grids[-1] if grids else None


def _collapses(entries: Iterable[dict[str, Any]]) -> list[str]:
    """One sentence for each; an attempt that repeats what an earlier one did notes the same once more."""
    return list(dict.fromkeys(_collapse(entry) for entry in entries))


def _collapse(entry: dict[str, Any]) -> str:
    found = f"The quality collapsed to {number_text(entry['value'])} at {count_text(entry['images_seen'])} images"
    best = f"the best, {number_text(entry['best_value'])} at {count_text(entry['best_images_seen'])} images"
    return f"{found}: training {'went back to' if entry['goes_on'] else 'ended; its model is of'} {best}."


def _joined(attempts: Sequence[Sequence[Item]], images: Callable[[Item], int]) -> list[Item]:
    """One series of all attempts, each cut where the next one with entries begins."""
    written = [attempt for attempt in attempts if attempt]
    joined: list[Item] = []
    for attempt in written:
        start = images(attempt[0])
        joined = [item for item in joined if images(item) < start] + list(attempt)
    return joined


def _images(entry: dict[str, Any]) -> int:
    return int(entry["images"])


def _grid_images(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])


def _loss_series(entries: Sequence[dict[str, Any]]) -> list[Series]:
    names = dict.fromkeys(name for entry in entries for name in entry["losses"])
    return [_series(name, [(_images(entry), entry["losses"].get(name)) for entry in entries]) for name in names]


def _quality_series(entries: Sequence[dict[str, Any]], name: str) -> Series | None:
    if not entries:
        return None
    better: Better = "higher" if name.partition("@")[0] in HIGHER_IS_BETTER else "lower"
    return _series(name, [(_images(entry), entry["value"]) for entry in entries], better)


def _series(name: str, points: Iterable[tuple[int, float | None]], better: Better | None = None) -> Series:
    known = [(images, value) for images, value in points if value is not None]
    return Series(
        name=name, images_seen=[images for images, _ in known], values=[value for _, value in known], better=better
    )
