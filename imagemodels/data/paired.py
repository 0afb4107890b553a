"""Pairs of images from a folder: what is given, and what is to be made of it.

FOLDER/input/…  FOLDER/target/…    files of the same names, whatever their endings
FOLDER/…                           or each pair in one file, side by side: given on the left, to be made on the right,
                                   as in the data sets of Isola et al. (arXiv 1611.07004)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from imagemodels.data.dataset import ImageDataset, content_split_text
from imagemodels.data.decoding import (
    DECODE_RULE,
    check_channels,
    check_image_size,
    check_memory,
    decode_whole,
    is_gray,
    open_image,
    square_pixels,
)
from imagemodels.data.errors import BadImage, DatasetMissing
from imagemodels.data.fingerprint import arrays_fingerprints, item_digests
from imagemodels.data.picture_files import TELL_EVERY, FolderFiles, Progress, tell_nobody
from imagemodels.data.source import PAIR_KIND, check_dataset_name, names_pairs, parse_dataset_name
from imagemodels.data.split import content_split
from imagemodels.errors import DataError

INPUT, TARGET = "input", "target"

Images = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class PairedDataset:
    """Images to be made, with all that an `ImageDataset` tells of them, and of each what it is made from.

    given    uint8 (N, H, W, C), of the same shape as the images of ``targets``
    """

    targets: ImageDataset
    given: Images

    def __post_init__(self) -> None:
        if self.given.dtype != np.uint8 or self.given.shape != self.targets.images.shape:
            found = f"{self.given.dtype} {self.given.shape}"
            raise DataError(f"data set {self.name}: given images are uint8 {self.targets.images.shape}, got {found}")

    @property
    def name(self) -> str:
        """The name by which it was loaded."""
        return self.targets.name

    @property
    def image_size(self) -> int:
        """Height and width in pixels."""
        return self.targets.image_size

    @property
    def channels(self) -> int:
        """1 for gray, 3 for RGB."""
        return self.targets.channels

    @property
    def fingerprint(self) -> str:
        """Equal fingerprints mean equal pairs in equal roles."""
        return self.targets.fingerprint

    def describe(self) -> dict[str, Any]:
        """Return what a person or a record needs to know of the data, ready for JSON."""
        return self.targets.describe() | {"pairs": True}


def load_pairs(
    name: str,
    *,
    image_size: int | None = None,
    channels: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> PairedDataset:
    """Read ``pairs:PATH``; a fifth of the pairs is held out, by a hash of seed and content.

    Both images of a pair are cropped to their centred square and brought to ``image_size``; None keeps the size of
    all, which must then be one and square. Channels None gives gray when all are gray.
    Raises DatasetMissing, UnknownDataset, BadImage for a file that cannot be read, or DataError where images have no
    partner, or no common size.
    """
    if not names_pairs(name):
        raise DataError(f"data set {name!r} is of single images, and pairs are needed: write {PAIR_KIND}:PATH")
    source = parse_dataset_name(check_dataset_name(name))
    assert source.path is not None
    if image_size is not None:
        check_image_size(image_size)
    if channels is not None:
        check_channels(channels)
    tell = progress or tell_nobody
    files = _FolderPairs(source.path, tell) if _has_sides(source.path) else _SideBySide(source.path, tell)
    depth = channels or files.channels()
    given, targets = _read(files, image_size, depth, tell)
    return _paired(f"{PAIR_KIND}:{source.path}", given, targets, seed)


def _has_sides(folder: Path) -> bool:
    """Whether the two images of a pair lie in two folders.  Raises DataError when only one of the folders is there."""
    found = [side for side in (INPUT, TARGET) if (folder / side).is_dir()]
    if len(found) == 1:
        missing = TARGET if found == [INPUT] else INPUT
        raise DataError(f"data set pairs:{folder}: there is a folder '{found[0]}', but no folder '{missing}' beside it")
    return bool(found)


class _FolderPairs:
    """Pairs of files of the same names in two folders.  Raises DataError where a file has no partner."""

    def __init__(self, folder: Path, tell: Progress) -> None:
        self._sides = [FolderFiles(folder / side, tell) for side in (INPUT, TARGET)]
        names = [[str(PurePosixPath(path).with_suffix("")) for path in files.paths] for files in self._sides]
        for one, other, side in ((names[0], names[1], TARGET), (names[1], names[0], INPUT)):
            alone = sorted(set(one) - set(other))
            if alone or len(set(one)) < len(one):
                what = f"{alone[0]!r} has no partner in '{side}'" if alone else "two images have one name"
                raise DataError(f"data set pairs:{folder}: {what} ({len(names[0])} inputs, {len(names[1])} targets)")
        orders = [sorted(range(len(side)), key=side.__getitem__) for side in names]
        self._numbers = list(zip(*orders, strict=True))
        self.place = f"pairs:{folder}"

    def __len__(self) -> int:
        return len(self._numbers)

    def channels(self) -> int:
        """Return 1 when all images are gray."""
        return _depth(self._sides)

    def pairs(self, channels: int) -> Iterator[tuple[str, Images, Images]]:
        """Yield the path of each pair, and its two images (H, W, C)."""
        for numbers in self._numbers:
            one, other = (_decoded(files, number, channels) for files, number in zip(self._sides, numbers, strict=True))
            yield self._sides[0].paths[numbers[0]], one, other


class _SideBySide:
    """Pairs that are one file each."""

    def __init__(self, folder: Path, tell: Progress) -> None:
        self._files = FolderFiles(folder, tell)
        self.place = f"pairs:{folder}"

    def __len__(self) -> int:
        return len(self._files.paths)

    def channels(self) -> int:
        """Return 1 when all images are gray."""
        return _depth([self._files])

    def pairs(self, channels: int) -> Iterator[tuple[str, Images, Images]]:
        """Yield the path of each pair, and its two images (H, W, C).  Raises DataError for an odd width."""
        for number, path in enumerate(self._files.paths):
            whole = _decoded(self._files, number, channels)
            half, rest = divmod(whole.shape[1], 2)
            if rest or half < whole.shape[0] // 2 or half > 2 * whole.shape[0]:
                raise DataError(
                    f"data set {self.place}: {path} of {whole.shape[1]} × {whole.shape[0]} pixels is no two images "
                    f"side by side; put pairs into folders '{INPUT}' and '{TARGET}', or beside each other"
                )
            yield path, whole[:, :half], whole[:, half:]


def _depth(sides: Sequence[FolderFiles]) -> int:
    grays = []
    for files in sides:
        for number, path in enumerate(files.paths):
            try:
                with files.open(number) as file, open_image(file) as image:
                    grays.append(is_gray(image))
            except (BadImage, OSError) as error:
                raise BadImage(f"data set {files.place}: {path}: {error}") from error
    return 1 if all(grays) else 3


def _decoded(files: FolderFiles, number: int, channels: int) -> Images:
    try:
        return decode_whole(files.read(number), channels)
    except BadImage as reason:
        raise BadImage(f"data set {files.place}: {files.paths[number]}: {reason}") from reason


def _read(
    files: _FolderPairs | _SideBySide, image_size: int | None, channels: int, tell: Progress
) -> tuple[Images, Images]:
    """The given images and the targets, (N, S, S, C) each."""
    if not len(files):
        raise DatasetMissing(f"data set {files.place}: no image in it")
    size, found = image_size, []
    if size is not None:
        check_memory(2 * len(files), size, channels)
    for number, (path, *pair) in enumerate(files.pairs(channels)):
        if number % TELL_EVERY == 0:
            tell("decoding", number / len(files))
        if size is None:
            size = _own_size(files.place, path, pair[0])
            check_memory(2 * len(files), size, channels)
        if image_size is None and {image.shape[:2] for image in pair} != {(size, size)}:
            raise DataError(f"data set {files.place}: {path} is not of {size} × {size} pixels; give an image size")
        found.append([square_pixels(_picture(image), size) for image in pair])
    given, targets = (np.ascontiguousarray(np.stack(side)) for side in zip(*found, strict=True))
    return given, targets


def _own_size(place: str, path: str, image: Images) -> int:
    if image.shape[0] != image.shape[1]:
        shape = f"{image.shape[1]} × {image.shape[0]}"
        raise DataError(f"data set {place}: {path} has images of {shape} pixels, no square; give an image size")
    return check_image_size(image.shape[0])


def _picture(image: Images) -> Image.Image:
    return Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)


def _paired(name: str, given: Images, targets: Images, seed: int) -> PairedDataset:
    both = np.concatenate((given, targets), axis=3)
    train_indices, test_indices = content_split(item_digests(both), None, seed)
    split = content_split_text(seed)
    decoding: dict[str, object] = {"image_size": targets.shape[1], "channels": targets.shape[3], "rule": DECODE_RULE}
    sums = arrays_fingerprints(both, None, {"split": split, "pairs": True}, decoding)
    dataset = ImageDataset(
        name=name,
        images=targets,
        labels=None,
        class_names=(),
        train_indices=train_indices,
        test_indices=test_indices,
        split=split,
        fingerprint=sums.exact,
        content_fingerprint=sums.content,
    )
    return PairedDataset(dataset, given)
