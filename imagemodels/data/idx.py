"""The IDX format of the MNIST family: a big-endian header, then plain bytes (yann.lecun.com/exdb/mnist)."""

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import IO, cast

import numpy as np
import numpy.typing as npt

from imagemodels.data.decoding import MAX_DATASET_BYTES
from imagemodels.data.errors import BadImage, DatasetMissing
from imagemodels.errors import DataError

UNSIGNED_BYTES = 0x08  # the header's code of the only element type that images and labels use
GZIP_MAGIC = b"\x1f\x8b"


def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, compressed by gzip or not.

    The header's dimensions are checked before memory is taken for them. Raises BadImage when the file is not IDX,
    of another element type, too short, too long or damaged.
    """
    try:
        with path.open("rb") as plain, _unpacked(plain) as file:
            return _read_array(path, file)
    except (EOFError, gzip.BadGzipFile, zlib.error) as broken:
        raise BadImage(f"{path}: damaged or truncated gzip data: {broken}") from broken
    except OSError as broken:
        raise BadImage(f"{path}: cannot be read: {broken}") from broken


def _unpacked(file: IO[bytes]) -> IO[bytes]:
    magic = file.read(2)
    file.seek(0)
    return cast(IO[bytes], gzip.GzipFile(fileobj=file)) if magic == GZIP_MAGIC else file


def _read_array(path: Path, file: IO[bytes]) -> npt.NDArray[np.uint8]:
    shape = _read_shape(path, file)
    expected_bytes = math.prod(shape)
    if expected_bytes > MAX_DATASET_BYTES:
        raise BadImage(f"{path}: its header promises {expected_bytes:,} bytes; the limit is {MAX_DATASET_BYTES:,}")
    content = file.read(expected_bytes)
    if len(content) < expected_bytes:
        raise BadImage(f"{path}: truncated: {len(content):,} of {expected_bytes:,} bytes for shape {shape}")
    if file.read(1):
        raise BadImage(f"{path}: longer than its header's shape {shape}")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape).copy()


def _read_shape(path: Path, file: IO[bytes]) -> tuple[int, ...]:
    header = file.read(4)
    if len(header) < 4 or header[:2] != b"\0\0":
        raise BadImage(f"{path}: not an IDX file: it begins with {header.hex(' ') or 'nothing'}")
    element_type, rank = header[2], header[3]
    if element_type != UNSIGNED_BYTES or not 1 <= rank <= 4:
        raise BadImage(f"{path}: IDX element type 0x{element_type:02x} of rank {rank}; images are 0x08 of rank 3 or 4")
    dimensions = file.read(4 * rank)
    if len(dimensions) < 4 * rank:
        raise BadImage(f"{path}: truncated within its header")
    return struct.unpack(f">{rank}I", dimensions)


def read_idx_images(path: Path) -> npt.NDArray[np.uint8]:
    """Read images as uint8 (N, H, W, C); IDX of rank 3 is gray. Raises BadImage as read_idx does."""
    images = read_idx(path)
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape:
        raise BadImage(f"{path}: shape {images.shape} is not (N, H, W) or (N, H, W, 1 or 3)")
    return images


def read_idx_labels(path: Path, count: int) -> npt.NDArray[np.int64]:
    """Read labels as int64 (N,). Raises DataError when their number is not that of the images."""
    labels = read_idx(path)
    if labels.shape != (count,):
        raise DataError(f"{path}: labels of shape {labels.shape} for {count} images; one label an image is needed")
    return labels.astype(np.int64)


def find_idx(folder: Path, name: str) -> Path | None:
    """Return the file of that name, plain or ending in .gz, or None."""
    candidates = (folder / name, folder / f"{name}.gz")
    return next((path for path in candidates if path.is_file()), None)


def labels_beside(images_path: Path) -> Path | None:
    """Return the label file that belongs to an image file by the naming of the MNIST family, or None."""
    name = images_path.name.removesuffix(".gz")
    if "images" not in name:
        return None
    return find_idx(
        images_path.parent, name.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1")
    )


def require_idx(folder: Path, name: str) -> Path:
    """Return the file of that name, plain or compressed. Raises DatasetMissing when there is none."""
    path = find_idx(folder, name)
    if path is None:
        raise DatasetMissing(f"data set idx:{folder}: neither {name} nor {name}.gz is in the folder")
    return path
