"""Decode the image files of a folder or an archive, a few at once, and account for those that are bad."""

import hashlib
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from imagemodels.data.columns import DigestColumn
from imagemodels.data.dataset import ImageDataset, content_split_text
from imagemodels.data.decoding import (
    DECODE_RULE,
    MAX_IMAGE_SIZE,
    MIN_IMAGE_SIZE,
    check_image_size,
    check_memory,
    decode_bytes,
    is_gray,
    open_image,
)
from imagemodels.data.errors import BadImage
from imagemodels.data.fingerprint import array_digest, files_fingerprints
from imagemodels.data.layout import Layout, layout_of
from imagemodels.data.packed import PackedStore
from imagemodels.data.picture_files import TELL_EVERY, PictureFiles, Progress
from imagemodels.data.split import content_split
from imagemodels.errors import DataError

OnBadImage = Literal["fail", "skip"]
Images = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]

DECODE_THREADS = 4  # Pillow lets go of the interpreter while it decodes
DECODE_FILES = 16  # given to a thread at a time
DECODED_AHEAD = 2 * DECODE_THREADS  # batches that may wait to be taken: more would fill the memory
SHOWN_BAD_IMAGES = 5


@dataclass(frozen=True)
class PictureRequest:
    """How images are to be read; see load_dataset."""

    image_size: int | None
    channels: int | None
    on_bad_image: OnBadImage
    seed: int


class _Pixels(Protocol):
    """Where decoded images go, one after the other."""

    def add(self, pixels: Images) -> None: ...

    def finish(self) -> Images: ...


class _InMemory:
    """Decoded images in an array for at most so many."""

    def __init__(self, count: int, size: int, channels: int) -> None:
        self._images = np.empty((count, size, size, channels), dtype=np.uint8)
        self._count = 0

    def add(self, pixels: Images) -> None:
        """Append an image."""
        self._images[self._count] = pixels
        self._count += 1

    def finish(self) -> Images:
        """Return all that were added."""
        return self._images[: self._count]


@dataclass(frozen=True)
class _Decoded:
    number: int
    digest: bytes
    pixels: Images


@dataclass(frozen=True)
class _Usable:
    """The images that could be decoded, uint8 (N, S, S, C), with the numbers of their files and their digests."""

    images: Images
    numbers: Indices
    digests: DigestColumn


Bad = list[tuple[str, str]]
_Format = tuple[int, int]  # side in pixels, channels


def read_pictures(
    files: PictureFiles, request: PictureRequest, tell: Progress, store: PackedStore | None = None
) -> ImageDataset:
    """Read all images of a place; see load_dataset for the rules and for what is raised."""
    layout = layout_of(files)
    most_bytes = len(layout) * (request.image_size or MAX_IMAGE_SIZE) ** 2 * (request.channels or 3)
    format_of_all = cache(lambda: _resolve_format(layout, request, tell))  # it may look into each file
    with _bombs_refused():
        if store is not None and most_bytes > store.above_bytes:
            packed = _read_packed(layout, request, store, format_of_all, tell)
            if packed is not None:
                return packed
        return _read_into_memory(layout, request, format_of_all(), tell)


def _read_packed(
    layout: Layout, request: PictureRequest, store: PackedStore, format_of_all: Callable[[], _Format], tell: Progress
) -> ImageDataset | None:
    """The images in the store, packed now if they are not there; None when they turn out to be too few for that."""
    settings = {**asdict(request), "rule": DECODE_RULE}
    with store.reading(layout.files.place, layout.files.stamp(), settings, tell) as source:
        found = source.find(tell)
        if found is not None:
            return found
        size, channels = shape = format_of_all()
        if len(layout) * size * size * channels <= store.above_bytes:
            return None
        with source.begin(len(layout), (size, size, channels)) as pixels:
            dataset = _read_all(layout, request, shape, pixels, tell, is_packed=True)
            source.publish(dataset, pixels)
        return dataset


def _read_into_memory(layout: Layout, request: PictureRequest, shape: _Format, tell: Progress) -> ImageDataset:
    check_memory(len(layout), *shape)
    return _read_all(layout, request, shape, _InMemory(len(layout), *shape), tell, is_packed=False)


def _read_all(
    layout: Layout, request: PictureRequest, shape: _Format, pixels: _Pixels, tell: Progress, *, is_packed: bool
) -> ImageDataset:
    usable, bad = _decode_all(layout, shape, pixels, tell)
    bad += layout.files.refused
    if bad and request.on_bad_image == "fail":
        raise BadImage(_bad_message(layout, bad))
    if not len(usable.numbers):
        raise BadImage(f"data set {layout.files.place}: not one image is usable; {_bad_message(layout, bad)}")
    return _assemble(layout, usable, sorted(bad), request.seed, is_packed=is_packed)


@contextmanager
def _bombs_refused() -> Iterator[None]:
    """Turn Pillow's warning at its own limit into an error, which lies above ours and reads the header only."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _resolve_format(layout: Layout, request: PictureRequest, tell: Progress) -> _Format:
    """The side in pixels and the channels that all images will have."""
    if request.image_size is not None and request.channels is not None:
        return request.image_size, request.channels
    sizes, all_gray = _read_headers(layout, tell)
    size = request.image_size or _common_size(layout, sizes)
    return size, request.channels or (1 if all_gray else 3)


def _read_headers(layout: Layout, tell: Progress) -> tuple[set[tuple[int, int]], bool]:
    """All widths and heights that occur, and whether no image has colours."""
    sizes, all_gray = set(), True
    for number in range(len(layout)):
        if number % TELL_EVERY == 0:
            tell("reading headers", number / len(layout))
        try:
            with layout.files.open(number) as file, open_image(file) as image:
                sizes.add(image.size)
                all_gray = all_gray and is_gray(image)
        except (BadImage, OSError):
            continue  # decoding meets it again and reports it
    return sizes, all_gray


def _common_size(layout: Layout, found: set[tuple[int, int]]) -> int:
    sizes = sorted(found)
    if len(sizes) == 1 and sizes[0][0] == sizes[0][1]:
        return check_image_size(sizes[0][0])
    if not sizes:
        return MIN_IMAGE_SIZE  # nothing is readable: decoding tells why, whatever the size
    shown = ", ".join(f"{width} × {height}" for width, height in sizes[:3])
    raise DataError(
        f"data set {layout.files.place}: images of {len(sizes)} sizes ({shown}{', …' if len(sizes) > 3 else ''}) "
        "have no common square size; give an image size"
    )


def _decode_all(layout: Layout, shape: _Format, pixels: _Pixels, tell: Progress) -> tuple[_Usable, Bad]:
    numbers = np.empty(len(layout), dtype=np.int64)
    digests = DigestColumn()
    bad: Bad = []
    for number, outcome in enumerate(_outcomes(layout.files, shape)):
        if number % TELL_EVERY == 0:
            tell("decoding", number / len(layout))
        if isinstance(outcome, _Decoded):
            pixels.add(outcome.pixels)
            numbers[len(digests)] = outcome.number
            digests.append(outcome.digest)
        else:
            bad.append(outcome)
    return _Usable(pixels.finish(), numbers[: len(digests)], digests), bad


def _outcomes(files: PictureFiles, shape: _Format) -> Iterator[_Decoded | tuple[str, str]]:
    """Each file decoded, or its path and what is wrong with it, in the order of the paths."""
    starts = range(0, len(files.paths), DECODE_FILES)
    batches = (range(start, min(start + DECODE_FILES, len(files.paths))) for start in starts)
    pool = ThreadPoolExecutor(DECODE_THREADS, thread_name_prefix="decode")
    try:
        for outcomes in _in_order(pool, lambda batch: [_decode(files, number, *shape) for number in batch], batches):
            yield from outcomes
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(
    pool: ThreadPoolExecutor,
    work: Callable[[range], list[_Decoded | tuple[str, str]]],
    batches: Iterable[range],
) -> Iterator[list[_Decoded | tuple[str, str]]]:
    """The results of the batches in their order, some of them made ahead."""
    ahead: deque[Future[list[_Decoded | tuple[str, str]]]] = deque()
    for batch in batches:
        ahead.append(pool.submit(work, batch))
        if len(ahead) >= DECODED_AHEAD:
            yield ahead.popleft().result()
    while ahead:
        yield ahead.popleft().result()


def _decode(files: PictureFiles, number: int, size: int, channels: int) -> _Decoded | tuple[str, str]:
    """Decode the very bytes that are hashed, so that a file changed meanwhile cannot part the two."""
    try:
        content = files.read(number)
        return _Decoded(number, hashlib.sha256(content).digest(), decode_bytes(content, size, channels))
    except BadImage as reason:
        return files.paths[number], str(reason)


def _bad_message(layout: Layout, bad: Bad) -> str:
    shown = "".join(f"\n  {path}: {reason}" for path, reason in sorted(bad)[:SHOWN_BAD_IMAGES])
    more = f"\n  and {len(bad) - SHOWN_BAD_IMAGES} more" if len(bad) > SHOWN_BAD_IMAGES else ""
    total = len(layout) + len(layout.files.refused)
    return (
        f"{len(bad)} of {total} images in {layout.files.place} are unusable:{shown}{more}\n"
        "Remove or repair them, or choose to skip bad images."
    )


def _assemble(layout: Layout, usable: _Usable, bad: Bad, seed: int, *, is_packed: bool) -> ImageDataset:
    files = layout.files
    labels = None if layout.labels is None else layout.labels[usable.numbers]
    train_indices, test_indices, split = _split(layout, usable, labels, seed)
    roles: dict[str, object] = {"split": split}
    if files.classes is not None and labels is not None:  # else the paths say which class an image is of
        roles |= {"classes": list(layout.class_names), "labels": array_digest(labels)}
    _, size, _, channels = usable.images.shape
    decoding: dict[str, object] = {"image_size": size, "channels": channels, "rule": DECODE_RULE}
    paths = (files.paths[int(number)] for number in usable.numbers)
    sums = files_fingerprints(zip(paths, usable.digests, strict=True), roles, decoding)
    return ImageDataset(
        name=files.place,
        images=usable.images,
        labels=labels,
        class_names=layout.class_names,
        train_indices=train_indices,
        test_indices=test_indices,
        split=split,
        fingerprint=sums.exact,
        bad_images=tuple(bad),
        content_fingerprint=sums.content,
        is_packed=is_packed,
    )


def _split(layout: Layout, usable: _Usable, labels: Indices | None, seed: int) -> tuple[Indices, Indices, str]:
    if layout.held_out is None:
        return *content_split(usable.digests, labels, seed), content_split_text(seed)
    held_out = layout.held_out[usable.numbers]
    return np.flatnonzero(~held_out), np.flatnonzero(held_out), "folders"
