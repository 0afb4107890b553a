"""A set of real images in memory, with its held-out part and its identity."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from imagemodels.data.fingerprint import array_digest, arrays_fingerprints, item_digests
from imagemodels.data.split import HELD_OUT_SHARE, content_split
from imagemodels.errors import DataError

Images = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]

NAMED_BAD_IMAGES = 20  # as many are listed by describe(); the count is always complete


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """Real images of one size, their classes, and which of them are held out.

    images         uint8 (N, H, W, C), C-contiguous, H = W, C = 1 (gray) or 3 (RGB), range 0 to 255
    labels         int64 (N,), an index into class_names; None when the source names no classes
    train_indices  int64, sorted; what a model may learn from
    test_indices   int64, sorted; held out, never trained on
    split          how the two were parted: "official", "folders", or "content" with its seed and share
    fingerprint    sha256 of contents, decode settings and split: equal fingerprints mean equal pixels in equal roles
    bad_images     (relative path, reason) of each file that was skipped at the user's wish
    content_fingerprint  the same without the decode settings: equal at every size and number of channels
    is_packed      whether the images lie in a file, of which only what is looked at is in memory

    Raises DataError when the parts contradict one another.
    """

    name: str
    images: Images
    labels: Indices | None
    class_names: tuple[str, ...]
    train_indices: Indices
    test_indices: Indices
    split: str
    fingerprint: str
    bad_images: tuple[tuple[str, str], ...] = ()
    content_fingerprint: str = ""
    is_packed: bool = False

    def __post_init__(self) -> None:
        _check_images(self.name, self.images)
        _check_labels(self.name, self.labels, len(self.images), len(self.class_names))
        parts = np.concatenate([self.train_indices, self.test_indices])
        if not np.array_equal(np.sort(parts), np.arange(len(self.images))):
            raise DataError(f"data set {self.name}: training and held-out indices must part all {len(self.images)}")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_size(self) -> int:
        """Height and width in pixels."""
        return int(self.images.shape[1])

    @property
    def channels(self) -> int:
        """1 for gray, 3 for RGB."""
        return int(self.images.shape[3])

    @property
    def num_classes(self) -> int:
        """How many classes the labels speak of; 0 without labels."""
        return len(self.class_names)

    def require_classes(self) -> Indices:
        """Return the labels, int64 (N,), for a conditional run.

        Raises DataError when there are fewer than two classes: every label would be the same.
        """
        if self.labels is None:
            raise DataError(
                "a conditional run needs labelled images; "
                f"{self.name} has none: put each class in a sub-folder, or remove --conditional"
            )
        if len(self.class_names) < 2:
            raise DataError(
                f"a conditional run needs at least two classes; found 1: {self.class_names[0]!r}; "
                "remove --conditional or give a folder with one sub-folder per class"
            )
        return self.labels

    def histogram(self) -> dict[str, int]:
        """Return the number of images of each class, in the order of class_names; empty without labels."""
        if self.labels is None:
            return {}
        counts = np.bincount(self.labels, minlength=self.num_classes)
        return dict(zip(self.class_names, counts.tolist(), strict=True))

    def describe(self) -> dict[str, Any]:
        """Return what a person or a record needs to know of the data, ready for JSON."""
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "content_fingerprint": self.content_fingerprint,
            "images": len(self),
            "image_size": self.image_size,
            "channels": self.channels,
            "classes": list(self.class_names),
            "histogram": self.histogram(),
            "split": self.split,
            "train_images": len(self.train_indices),
            "test_images": len(self.test_indices),
            "test_indices_sha256": array_digest(self.test_indices),
            "bad_images": len(self.bad_images),
            "bad_images_named": [list(bad) for bad in self.bad_images[:NAMED_BAD_IMAGES]],
        }


def dataset_from_arrays(
    name: str, images: Images, labels: Indices | None = None, class_names: Sequence[str] = (), seed: int = 0
) -> ImageDataset:
    """Make a data set of arrays that are already decoded, with a held-out part chosen by content.

    Without class_names the classes are named by their number. Raises DataError as ImageDataset does.
    """
    images = np.ascontiguousarray(images)
    names = tuple(class_names) or numbered_names(labels)
    train_indices, test_indices = content_split(item_digests(images), labels, seed)
    split = content_split_text(seed)
    sums = arrays_fingerprints(images, labels, {"split": split}, {})
    return ImageDataset(
        name=name,
        images=images,
        labels=labels,
        class_names=names,
        train_indices=train_indices,
        test_indices=test_indices,
        split=split,
        fingerprint=sums.exact,
        content_fingerprint=sums.content,
    )


def content_split_text(seed: int) -> str:
    """Return the words that record a split by content."""
    return f"content seed={seed} share={HELD_OUT_SHARE}"


def numbered_names(labels: Indices | None) -> tuple[str, ...]:
    """Return names for classes that are known by number alone."""
    if labels is None or len(labels) == 0:
        return ()
    return tuple(str(number) for number in range(int(labels.max()) + 1))


def _check_images(name: str, images: Images) -> None:
    shape, dtype = images.shape, images.dtype
    if dtype != np.uint8 or images.ndim != 4 or shape[1] != shape[2] or shape[3] not in (1, 3):
        raise DataError(
            f"data set {name}: images must be uint8 (N, H, W, C) with H = W and C = 1 or 3; found {dtype} {shape}"
        )
    if len(images) == 0:
        raise DataError(f"data set {name}: there are no images")
    if not images.flags.c_contiguous:
        raise DataError(f"data set {name}: images must be C-contiguous; use numpy.ascontiguousarray")


def _check_labels(name: str, labels: Indices | None, count: int, num_classes: int) -> None:
    if labels is None:
        if num_classes:
            raise DataError(f"data set {name}: {num_classes} class names but no labels")
        return
    if labels.dtype != np.int64 or labels.shape != (count,):
        raise DataError(
            f"data set {name}: labels must be int64 ({count},), one an image; found {labels.dtype} {labels.shape}"
        )
    if int(labels.min()) < 0 or int(labels.max()) >= num_classes:
        raise DataError(
            f"data set {name}: labels run from {labels.min()} to {labels.max()}, "
            f"but there are {num_classes} class names"
        )
