"""The gates of a spec: what a model has to reach in each measure, and by how much it may be worse than the champion."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from pixmill.gates.measures import MEASURES

MOST_SEEDS = 20
_KEY = "measure"  # of an entry, where gates are a list


def _absent(value: object) -> bool:
    return value is None


Limit = Annotated[float | None, Field(exclude_if=_absent)]


class Limits(BaseModel):
    """What one measure has to pass; at least one of them is given.

    min             the mean over the seeds is at least this
    max             the mean over the seeds is at most this
    worse_by        worse than the champion by no more than this, in the measure's own unit
    worse_by_share  the same as a share of the champion's value
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    min: Limit = None
    max: Limit = None
    worse_by: Annotated[float | None, Field(ge=0, exclude_if=_absent)] = None
    worse_by_share: Annotated[float | None, Field(ge=0, le=100, exclude_if=_absent)] = None

    @property
    def tolerance(self) -> float | None:
        """By how much it may be worse than the champion, in whichever way; None where that is not asked."""
        return self.worse_by if self.worse_by is not None else self.worse_by_share

    @property
    def is_empty(self) -> bool:
        """Whether nothing is asked."""
        return self.min is None and self.max is None and self.tolerance is None


def _by_measure(gates: Any) -> Any:
    """A list of gates, each with its `measure`, as the mapping that it stands for."""
    if not isinstance(gates, list):
        return gates
    found: dict[str, Any] = {}
    for gate in gates:
        if not isinstance(gate, Mapping) or not isinstance(gate.get(_KEY), str):
            raise ValueError(f"each gate of a list has a '{_KEY}' and its limits")
        if gate[_KEY] in found:
            raise ValueError(f"measure {gate[_KEY]!r} is there twice; give all its limits in one gate")
        found[gate[_KEY]] = {key: value for key, value in gate.items() if key != _KEY}
    return found


Gates = Annotated[dict[str, Limits], Field(min_length=1), BeforeValidator(_by_measure)]


_OF_ALL: Mapping[str, Limits] = {
    "kid": Limits(worse_by=0.005),
    "coverage": Limits(min=0.1, worse_by=0.05),
    "exact_copies": Limits(max=0.01),
    "near_copies": Limits(max=0.1, worse_by=0.02),
    "repeats": Limits(max=0.01),
    "speed": Limits(worse_by_share=0.3),
    "memory": Limits(worse_by_share=0.5),
}
_OF_CLASSES: Mapping[str, Limits] = {
    "agreement": Limits(worse_by=0.05),
    "class_share": Limits(min=0.25),
    "class_agreement": Limits(min=0.1),
}
# Networks that play a game may collapse into few images; a blurred decoder's images are near each other anyway, and a
# forest that has learnt nothing but its leaves gives training images back.
_OF_FAMILY: Mapping[str, Mapping[str, Limits]] = {
    "adversarial": {"near_repeats": Limits(max=0.3, worse_by=0.1)},
    "hybrid": {"near_repeats": Limits(max=0.3, worse_by=0.1)},
    "forest": {"near_copies": Limits(max=0.05, worse_by=0.02)},
}


def default_gates(family: str, *, has_classes: bool) -> dict[str, Limits]:
    """The gates of a model of that family where nothing else is asked for, in the order of MEASURES."""
    chosen = {**_OF_ALL, **(_OF_CLASSES if has_classes else {}), **_OF_FAMILY.get(family, {})}
    return {name: chosen[name] for name in MEASURES if name in chosen}
