"""Decode the image files of a folder or an archive, a few at once, and account for those that are bad."""

import hashlib
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from imagemodels.data.dataset import ImageDataset, content_split_text
from imagemodels.data.decoding import (
    DECODE_RULE,
    MIN_IMAGE_SIZE,
    check_image_size,
    check_memory,
    decode_bytes,
    is_gray,
    open_image,
)
from imagemodels.data.errors import BadImage
from imagemodels.data.fingerprint import files_fingerprint
from imagemodels.data.layout import FoundImage, Layout, layout_of
from imagemodels.data.picture_files import PictureFiles
from imagemodels.data.split import content_split
from imagemodels.errors import DataError

Progress = Callable[[str, float], None]
OnBadImage = Literal["fail", "skip"]
Images = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]

DECODE_THREADS = 4  # Pillow lets go of the interpreter while it decodes
TELL_EVERY = 64  # files
SHOWN_BAD_IMAGES = 5


@dataclass(frozen=True)
class _Header:
    width: int
    height: int
    gray: bool


@dataclass(frozen=True)
class _Decoded:
    found: FoundImage
    digest: str
    pixels: Images


@dataclass(frozen=True)
class _Usable:
    """The images that could be decoded, uint8 (N, S, S, C), with the files they came from and their digests."""

    images: Images
    found: tuple[FoundImage, ...]
    digests: tuple[str, ...]


def read_pictures(
    files: PictureFiles,
    image_size: int | None,
    channels: int | None,
    on_bad_image: OnBadImage,
    seed: int,
    tell: Progress,
) -> ImageDataset:
    """Read all images of a place; see load_dataset for the rules and for what is raised."""
    layout = layout_of(files)
    with _bombs_refused():
        size, depth = _resolve_format(layout, image_size, channels, tell)
        check_memory(len(layout.images), size, depth)
        usable, bad = _decode_all(layout, size, depth, tell)
    bad += files.refused
    if bad and on_bad_image == "fail":
        raise BadImage(_bad_message(layout, bad))
    if not usable.found:
        raise BadImage(f"data set {files.place}: not one image is usable; {_bad_message(layout, bad)}")
    return _assemble(layout, usable, sorted(bad), seed)


@contextmanager
def _bombs_refused() -> Iterator[None]:
    """Turn Pillow's warning at its own limit into an error, which lies above ours and reads the header only."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _resolve_format(layout: Layout, image_size: int | None, channels: int | None, tell: Progress) -> tuple[int, int]:
    if image_size is not None and channels is not None:
        return image_size, channels
    headers = _read_headers(layout, tell)
    size = image_size or _common_size(layout, headers)
    return size, channels or (1 if all(header.gray for header in headers) else 3)


def _read_headers(layout: Layout, tell: Progress) -> list[_Header]:
    headers = []
    for number, found in enumerate(layout.images):
        if number % TELL_EVERY == 0:
            tell("reading headers", number / len(layout.images))
        try:
            with layout.files.open(found.relative_path) as file, open_image(file) as image:
                headers.append(_Header(image.width, image.height, is_gray(image)))
        except (BadImage, OSError):
            continue  # decoding meets it again and reports it
    return headers


def _common_size(layout: Layout, headers: list[_Header]) -> int:
    sizes = sorted({(header.width, header.height) for header in headers})
    if len(sizes) == 1 and sizes[0][0] == sizes[0][1]:
        return check_image_size(sizes[0][0])
    if not sizes:
        return MIN_IMAGE_SIZE  # nothing is readable: decoding tells why, whatever the size
    found = ", ".join(f"{width} × {height}" for width, height in sizes[:3])
    raise DataError(
        f"data set {layout.files.place}: images of {len(sizes)} sizes ({found}{', …' if len(sizes) > 3 else ''}) "
        "have no common square size; give an image size"
    )


def _decode_all(layout: Layout, size: int, channels: int, tell: Progress) -> tuple[_Usable, list[tuple[str, str]]]:
    images = np.empty((len(layout.images), size, size, channels), dtype=np.uint8)
    found: list[FoundImage] = []
    digests: list[str] = []
    bad: list[tuple[str, str]] = []
    pool = ThreadPoolExecutor(DECODE_THREADS, thread_name_prefix="decode")
    try:
        outcomes = pool.map(lambda image: _decode(layout.files, image, size, channels), layout.images)
        for number, outcome in enumerate(outcomes):
            if number % TELL_EVERY == 0:
                tell("decoding", number / len(layout.images))
            if isinstance(outcome, _Decoded):
                images[len(found)] = outcome.pixels
                found.append(outcome.found)
                digests.append(outcome.digest)
            else:
                bad.append(outcome)
    finally:
        pool.shutdown(cancel_futures=True)
    return _Usable(images[: len(found)], tuple(found), tuple(digests)), bad


def _decode(files: PictureFiles, found: FoundImage, size: int, channels: int) -> _Decoded | tuple[str, str]:
    """Decode the very bytes that are hashed, so that a file changed meanwhile cannot part the two."""
    try:
        content = files.read(found.relative_path)
        return _Decoded(found, hashlib.sha256(content).hexdigest(), decode_bytes(content, size, channels))
    except BadImage as reason:
        return found.relative_path, str(reason)


def _bad_message(layout: Layout, bad: list[tuple[str, str]]) -> str:
    shown = "".join(f"\n  {path}: {reason}" for path, reason in sorted(bad)[:SHOWN_BAD_IMAGES])
    more = f"\n  and {len(bad) - SHOWN_BAD_IMAGES} more" if len(bad) > SHOWN_BAD_IMAGES else ""
    total = len(layout.images) + len(layout.files.refused)
    return (
        f"{len(bad)} of {total} images in {layout.files.place} are unusable:{shown}{more}\n"
        "Remove or repair them, or choose to skip bad images."
    )


def _assemble(layout: Layout, usable: _Usable, bad: list[tuple[str, str]], seed: int) -> ImageDataset:
    class_names = layout.class_names
    labels = _labels(usable, class_names) if class_names else None
    train_indices, test_indices, split = _split(layout, usable, labels, seed)
    _, size, _, channels = usable.images.shape
    settings: dict[str, object] = {"image_size": size, "channels": channels, "rule": DECODE_RULE, "split": split}
    paths = (found.relative_path for found in usable.found)
    return ImageDataset(
        name=layout.files.place,
        images=usable.images,
        labels=labels,
        class_names=class_names,
        train_indices=train_indices,
        test_indices=test_indices,
        split=split,
        fingerprint=files_fingerprint(zip(paths, usable.digests, strict=True), settings),
        bad_images=tuple(bad),
    )


def _labels(usable: _Usable, class_names: tuple[str, ...]) -> Indices:
    numbers: dict[str | None, int] = {name: number for number, name in enumerate(class_names)}
    return np.array([numbers[found.class_name] for found in usable.found], dtype=np.int64)


def _split(layout: Layout, usable: _Usable, labels: Indices | None, seed: int) -> tuple[Indices, Indices, str]:
    if not layout.has_parts:
        return *content_split(usable.digests, labels, seed), content_split_text(seed)
    held_out = np.array([bool(found.held_out) for found in usable.found])
    return np.flatnonzero(~held_out), np.flatnonzero(held_out), "folders"
