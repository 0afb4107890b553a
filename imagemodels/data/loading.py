"""From a data set's name to images in memory."""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt

from imagemodels.data.archive_files import ZipFiles
from imagemodels.data.cifar import CLASS_NAMES as CIFAR10_CLASSES
from imagemodels.data.cifar import read_cifar10
from imagemodels.data.dataset import ImageDataset, content_split_text, numbered_names
from imagemodels.data.decoding import (
    DECODE_RULE,
    check_channels,
    check_image_size,
    check_memory,
    resize_array,
)
from imagemodels.data.digits import read_digits
from imagemodels.data.fingerprint import arrays_fingerprints, item_digests
from imagemodels.data.idx import labels_beside, read_idx_images, read_idx_labels, require_idx
from imagemodels.data.packed import PackedStore
from imagemodels.data.picture_files import FolderFiles, PictureFiles, Progress, tell_nobody
from imagemodels.data.picture_reading import OnBadImage, PictureRequest, read_pictures
from imagemodels.data.published import (
    PUBLICATIONS,
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    publication_folder,
    published_files,
)
from imagemodels.data.source import PAIR_KIND, SEQUENCE_KIND, check_dataset_name, parse_dataset_name
from imagemodels.data.split import content_split
from imagemodels.data.tar_files import TarFiles
from imagemodels.errors import DataError

ON_BAD_IMAGE = get_args(OnBadImage)
PICTURE_KINDS: Mapping[str, Callable[[Path, Progress], PictureFiles]] = {
    "folder": FolderFiles,
    "zip": ZipFiles,
    "tar": TarFiles,
}


@dataclass(frozen=True)
class _Arrays:
    """What every reader of ready arrays delivers; test_count is the size of an official held-out part at the end."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64] | None
    class_names: tuple[str, ...]
    test_count: int | None = None


def load_dataset(
    name: str,
    *,
    image_size: int | None = None,
    channels: int | None = None,
    root: Path | None = None,
    on_bad_image: OnBadImage = "fail",
    seed: int = 0,
    progress: Progress | None = None,
    packed: PackedStore | None = None,
) -> ImageDataset:
    """Read a data set by its name, or by its kind and place.

    Names: ``digits``, ``mnist``, ``fashion-mnist``, ``cifar10``. Places: ``folder:PATH``, ``zip:PATH``, ``tar:PATH``,
    ``idx:PATH``; of ``tar:`` also a folder or a pattern of WebDataset shards. Images are cropped to their centred
    square and resized (Lanczos to shrink, bicubic to enlarge).
    image_size None keeps the source's size, which must then be one and square; channels None gives gray when all
    images are gray.
    The official held-out part is kept where there is one; otherwise a fifth of each class is held out by a hash of
    seed and content. Published files are sought in root/NAME and fetched, checksums verified, when absent.
    packed keeps decoded images that take much memory in a file, to be read in place; without it they must fit.
    progress is told (phase, share of it done); whatever it raises ends the reading.

    Raises UnknownDataset, DatasetMissing, DownloadFailed, BadImage (on_bad_image "fail": one error for all files),
    or DataError when the size, the channels or the labels do not fit.
    """
    source = parse_dataset_name(check_dataset_name(name))
    if source.moves:
        raise DataError(f"data set {source} is of sequences, and images are needed: leave out '{SEQUENCE_KIND}:'")
    if source.kind == PAIR_KIND:
        raise DataError(f"data set {source} is of pairs, and single images are needed: folder:{source.path}")
    if on_bad_image not in ON_BAD_IMAGE:
        raise DataError(f"on_bad_image {on_bad_image!r} is unknown; choose one of {', '.join(ON_BAD_IMAGE)}")
    if image_size is not None:
        check_image_size(image_size)
    if channels is not None:
        check_channels(channels)
    tell = progress or tell_nobody
    if source.kind in PICTURE_KINDS and source.path is not None:
        with closing(PICTURE_KINDS[source.kind](source.path, tell)) as files:
            return read_pictures(files, PictureRequest(image_size, channels, on_bad_image, seed), tell, packed)
    arrays = _read_arrays(source.kind, source.path, root, tell)
    return _from_arrays(str(source), arrays, image_size, channels, seed)


def _read_arrays(kind: str, path: Path | None, root: Path | None, tell: Progress) -> _Arrays:
    tell("reading", 0.0)
    if kind == "digits":
        images, labels = read_digits()
        return _Arrays(images, labels, tuple("0123456789"))
    if path is not None:
        return _read_idx_folder(path) if path.is_dir() else _read_idx_file(path)
    if kind == "cifar10":
        images, labels, test_count = read_cifar10(publication_folder(kind, root))
        return _Arrays(images, labels, CIFAR10_CLASSES, test_count)
    publication = PUBLICATIONS[kind]
    files = published_files(publication, publication_folder(kind, root))
    return _read_parts(files, publication.class_names)


def _read_parts(files: dict[str, Path], class_names: tuple[str, ...]) -> _Arrays:
    train_images, test_images = read_idx_images(files[TRAIN_IMAGES]), read_idx_images(files[TEST_IMAGES])
    if train_images.shape[1:] != test_images.shape[1:]:
        raise DataError(
            f"{files[TEST_IMAGES]}: images of {test_images.shape[1:]}, but the training images are "
            f"{train_images.shape[1:]}"
        )
    labels = np.concatenate(
        [
            read_idx_labels(files[TRAIN_LABELS], len(train_images)),
            read_idx_labels(files[TEST_LABELS], len(test_images)),
        ]
    )
    names = class_names or numbered_names(labels)
    return _Arrays(np.concatenate([train_images, test_images]), labels, names, len(test_images))


def _read_idx_folder(folder: Path) -> _Arrays:
    names = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)
    return _read_parts({name: require_idx(folder, name) for name in names}, ())


def _read_idx_file(path: Path) -> _Arrays:
    images = read_idx_images(path)
    labels_path = labels_beside(path)
    labels = None if labels_path is None else read_idx_labels(labels_path, len(images))
    return _Arrays(images, labels, numbered_names(labels))


def _from_arrays(name: str, arrays: _Arrays, image_size: int | None, channels: int | None, seed: int) -> ImageDataset:
    size = image_size or _native_size(name, arrays.images)
    depth = channels or int(arrays.images.shape[3])
    check_memory(len(arrays.images), size, depth)
    split = content_split_text(seed) if arrays.test_count is None else "official"
    train_indices, test_indices = _split(arrays, seed)
    roles: dict[str, object] = {"split": split, "test_count": arrays.test_count}
    decoding: dict[str, object] = {"image_size": size, "channels": depth, "rule": DECODE_RULE}
    sums = arrays_fingerprints(arrays.images, arrays.labels, roles, decoding)
    return ImageDataset(
        name=name,
        images=resize_array(arrays.images, size, depth),
        labels=arrays.labels,
        class_names=arrays.class_names,
        train_indices=train_indices,
        test_indices=test_indices,
        split=split,
        fingerprint=sums.exact,
        content_fingerprint=sums.content,
    )


def _split(arrays: _Arrays, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    if arrays.test_count is None:
        return content_split(item_digests(arrays.images), arrays.labels, seed)
    everything = np.arange(len(arrays.images), dtype=np.int64)
    return everything[: -arrays.test_count], everything[-arrays.test_count :]


def _native_size(name: str, images: npt.NDArray[np.uint8]) -> int:
    height, width = images.shape[1:3]
    if height != width:
        raise DataError(f"data set {name}: images of {width} × {height} are not square; give an image size")
    return check_image_size(int(height))
