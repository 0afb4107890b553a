"""How data differ from those before them, in fields for screens and pages."""

from collections.abc import Mapping, Sequence
from typing import Any

from imagemodels.evaluation.drift import Drift
from imagemodels.evaluation.driftlimits import class_words, distance_words


def drift_fields(values: Mapping[str, Any]) -> dict[str, str]:
    """What a result, or a file, holds of a drift, a line each; what is not known has none."""
    drift = Drift.from_json(values)
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
