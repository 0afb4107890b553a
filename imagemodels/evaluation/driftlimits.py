"""How far data may have moved before something must be wrong with them, and what is said of it. Free of torch."""

from collections.abc import Iterator
from dataclasses import dataclass

from imagemodels.evaluation.drift import ClassChange, Distance, Drift, KnownData


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What is refused; all shares are from 0 to 1."""

    min_images: int = 1
    max_shrink: float = 0.5  # of the images before that are missing
    max_class_shift: float = 0.5  # total variation distance between the shares of the classes
    max_unreadable: float = 0.5  # of all files


def violations(data: KnownData, drift: Drift | None, limits: Limits) -> Iterator[str]:
    """Yield one phrase, with both numbers, for each limit that is broken; ``drift`` is None without data before."""
    images = data.images or 0
    if images < limits.min_images:
        yield f"{images:,} images (min_images {limits.min_images:,})"
    if data.unreadable > limits.max_unreadable:
        yield f"{data.unreadable:.0%} of the files are unreadable (max_unreadable {limits.max_unreadable:g})"
    if drift is None:
        return
    if drift.shrink > limits.max_shrink:
        fewer = f"{drift.shrink:.0%} fewer (max_shrink {limits.max_shrink:g})"
        yield f"{drift.now:,} images, {drift.before:,} before: {fewer}"
    if drift.class_shift is not None and drift.class_shift > limits.max_class_shift:
        most = f", most of all {class_words(drift.classes[0])}" if drift.classes else ""
        yield f"classes have shifted by {drift.class_shift:.2f} (max_class_shift {limits.max_class_shift:g}){most}"


def sentence(drift: Drift) -> str:
    """Say the most important of it in one line."""
    if drift.is_same:
        return f"the data are those of {drift.against}: {drift.now:,} images"
    words = [f"{drift.now:,} images, {'unknown' if drift.before is None else f'{drift.before:,}'} before"]
    if drift.added is not None:
        words.append(f"{drift.added:,} added, {drift.removed:,} removed")
    if drift.class_shift is not None:
        most = f" ({class_words(drift.classes[0])})" if drift.classes else ""
        words.append(f"classes shifted by {drift.class_shift:.3f}{most}")
    found = drift.features or drift.thumbnails
    if found is not None:
        words.append(f"Fréchet distance {distance_words(found)}")
    return f"data against those of {drift.against}: {'; '.join(words)}"


def class_words(change: ClassChange) -> str:
    """A class and its shares."""
    return f"{change.name}: {change.before:.1%} → {change.now:.1%}"


def distance_words(found: Distance) -> str:
    """A distance with what it is of, and what is to be expected."""
    return f"{found.value:.4g} of {found.of} ({found.expected:.4g} between samples of the same data)"
