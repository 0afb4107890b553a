"""How far data have moved from those before them: images, classes, levels, looks. Free of torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from imagemodels.evaluation.datatraces import DataSummary, DataTraces
from imagemodels.evaluation.distances import Moments, moments_bias, moments_distance

SHOWN_CLASSES = 5


@dataclass(frozen=True)
class KnownData:
    """What is known of a data set; of those that an older pixmill has trained on, the description alone."""

    name: str
    fingerprint: str
    description: Mapping[str, Any]  # as ImageDataset.describe() gives it
    summary: DataSummary | None = None
    traces: DataTraces | None = None

    @property
    def images(self) -> int | None:
        """How many there are."""
        found = self.description.get("images")
        return None if found is None else int(found)

    @property
    def histogram(self) -> Mapping[str, int]:
        """Class name → images; empty without classes."""
        found: Mapping[str, int] = self.description.get("histogram") or {}
        return found

    @property
    def unreadable(self) -> float:
        """The share of its files that were left out, from 0 to 1."""
        bad = int(self.description.get("bad_images", 0))
        return bad / (bad + (self.images or 0)) if bad else 0.0


@dataclass(frozen=True)
class ClassChange:
    """The share of a class among all images, from 0 to 1, before and now."""

    name: str
    before: float
    now: float


@dataclass(frozen=True)
class Distance:
    """A squared Fréchet distance between samples, and the one to be expected of two samples of the same data."""

    value: float
    expected: float
    of: str  # "thumbnails", or the name of a feature net


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How data differ from those before them; None where what is known of the latter does not tell.

    added, removed   images, by their pixels; copies of one image count once
    class_shift      total variation distance between the shares of the classes, from 0 to 1
    mean_shift, deviation_shift  of the pixels of each channel, now less before, in units of black to white
    image_shift      root mean square between the mean images, in the same units
    """

    against: str  # the version whose data they were, or a data set
    is_same: bool  # equal fingerprints
    before: int | None
    now: int
    added: int | None = None
    removed: int | None = None
    class_shift: float | None = None
    classes: tuple[ClassChange, ...] = ()  # those that have changed most
    mean_shift: tuple[float, ...] | None = None
    deviation_shift: tuple[float, ...] | None = None
    image_shift: float | None = None
    thumbnails: Distance | None = None
    features: Distance | None = None

    @property
    def shrink(self) -> float:
        """The share of the images before that is no longer there, by numbers alone; 0 where there are more."""
        return max(0.0, 1 - self.now / self.before) if self.before else 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "classes": [asdict(change) for change in self.classes], "shrink": self.shrink}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of `to_json`."""
        known = {name: value for name, value in values.items() if name != "shrink"}
        known["classes"] = tuple(ClassChange(**change) for change in known["classes"])
        for name in ("mean_shift", "deviation_shift"):
            known[name] = None if known[name] is None else tuple(known[name])
        for name in ("thumbnails", "features"):
            known[name] = None if known[name] is None else Distance(**known[name])
        return cls(**known)


def compared(before: KnownData, now: KnownData, against: str, features: Distance | None = None) -> Drift:
    """Return how ``now`` differs from ``before``, which ``against`` names."""
    assert now.images is not None
    added, removed = _exchanged(before.traces, now.traces)
    shift, changes = _class_changes(before.histogram, now.histogram)
    return Drift(
        against=against,
        is_same=before.fingerprint == now.fingerprint,
        before=before.images,
        now=now.images,
        added=added,
        removed=removed,
        class_shift=shift,
        classes=changes,
        **_level_shifts(before.summary, now.summary),
        thumbnails=_thumbnail_distance(before.traces, now.traces),
        features=features,
    )


def distance(before: Moments | None, now: Moments | None, of: str) -> Distance | None:
    """Return the Fréchet distance of two samples, beside the expected one; None where there is no sample."""
    if before is None or now is None:
        return None
    expected = moments_bias(before, before.count, now.count)
    return Distance(moments_distance(before, now), expected, of)


def _exchanged(before: DataTraces | None, now: DataTraces | None) -> tuple[int | None, int | None]:
    """How many images are new, and how many are gone; unknown of those that were read at another size."""
    if before is None or now is None:
        return None, None
    if (before.image_size, before.channels) != (now.image_size, now.channels):
        return None, None
    both = len(np.intersect1d(before.images.keys, now.images.keys, assume_unique=True))
    return len(now.images.keys) - both, len(before.images.keys) - both


def _class_changes(before: Mapping[str, int], now: Mapping[str, int]) -> tuple[float | None, tuple[ClassChange, ...]]:
    if not before or not now:
        return None, ()
    totals = max(1, sum(before.values())), max(1, sum(now.values()))
    names = {**before, **now}
    changes = [ClassChange(name, before.get(name, 0) / totals[0], now.get(name, 0) / totals[1]) for name in names]
    changes.sort(key=lambda change: -abs(change.now - change.before))
    shift = sum(abs(change.now - change.before) for change in changes) / 2
    return shift, tuple(change for change in changes[:SHOWN_CLASSES] if change.before != change.now)


def _level_shifts(before: DataSummary | None, now: DataSummary | None) -> dict[str, Any]:
    if before is None or now is None or len(before.mean) != len(now.mean):
        return {}
    gap = np.asarray(now.mean_image) - np.asarray(before.mean_image)
    return {
        "mean_shift": tuple(np.subtract(now.mean, before.mean).tolist()),
        "deviation_shift": tuple(np.subtract(now.deviation, before.deviation).tolist()),
        "image_shift": float(np.sqrt((gap**2).mean())),
    }


def _thumbnail_distance(before: DataTraces | None, now: DataTraces | None) -> Distance | None:
    if before is None or now is None:
        return None
    return distance(before.thumbnails, now.thumbnails, "thumbnails")
