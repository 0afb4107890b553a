"""How data differ from those before them, in fields for screens and pages."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imagemodels.evaluation.drift import Drift
from imagemodels.evaluation.driftlimits import class_words, distance_words
from pixmill.errors import CorruptFile

DRIFT_FILE = "drift.json"  # of an attempt


def read_drift(folders: Sequence[Path]) -> dict[str, Any]:
    """What the last attempt has found out about its data, with `broken` limits and whether they were `accepted`.

    `folders` are those of the attempts, in order of time; empty where none has got so far. Raises CorruptFile.
    """
    found = [folder / DRIFT_FILE for folder in folders if (folder / DRIFT_FILE).is_file()]
    if not found:
        return {}
    try:
        values: dict[str, Any] = json.loads(found[-1].read_bytes())
        drift_fields(values)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptFile(f"{found[-1]} does not say how the data have changed: {error}") from error
    return values


def drift_fields(values: Mapping[str, Any]) -> dict[str, str]:
    """What a result, or a file, holds of a drift, a line each; what is not known has none."""
    told = dict(values)
    broken, is_accepted = "; ".join(told.pop("broken", ())), told.pop("accepted", False)
    limits = {"accepted as asked" if is_accepted else "refused": broken} if broken else {}
    return {**_fields(Drift.from_json(told)), **limits}


def _fields(drift: Drift) -> dict[str, str]:
    fields = {"compared with": f"the data of {drift.against}"}
    if drift.is_same:
        return {**fields, "data": f"the very same: {drift.now:,} images"}
    fields["images"] = _images(drift)
    if drift.added is not None and drift.removed is not None:
        fields["exchanged"] = f"{drift.added:,} added, {drift.removed:,} removed"
    if drift.class_shift is not None:
        changes = "; ".join(map(class_words, drift.classes))
        fields["classes"] = f"shifted by {drift.class_shift:.3f}{f' ({changes})' if changes else ''}"
    if drift.mean_shift is not None and drift.deviation_shift is not None:
        fields["levels"] = (
            f"mean {_signed(drift.mean_shift)}, deviation {_signed(drift.deviation_shift)}, "
            f"mean image {drift.image_shift:.4f} apart"
        )
    for name, found in (("looks", drift.thumbnails), ("features", drift.features)):
        if found is not None:
            fields[name] = f"Fréchet distance {distance_words(found)}"
    return fields


def _images(drift: Drift) -> str:
    if drift.before is None:
        return f"{drift.now:,}; how many there were is not recorded"
    change = "" if not drift.before else f" ({drift.now / drift.before - 1:+.1%})"
    return f"{drift.now:,}, {drift.before:,} before{change}"


def _signed(numbers: Sequence[float]) -> str:
    return "/".join(f"{number:+.4f}" for number in numbers)
