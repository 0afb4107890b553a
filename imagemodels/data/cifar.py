"""CIFAR-10 in its official binary version: one archive, six members of fixed-size records (cs.toronto.edu/~kriz)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from imagemodels.data.download import download_verified
from imagemodels.data.errors import BadImage, DatasetMissing
from imagemodels.data.tar_reading import UNREADABLE, open_tar, regular_members

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
TRAIN_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_FILE = "test_batch.bin"
ARCHIVE = "cifar-10-binary.tar.gz"
ARCHIVE_FOLDER = "cifar-10-batches-bin"
SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
MIRRORS = ("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/")
SIDE = 32  # pixels
RECORD_BYTES = 1 + 3 * SIDE * SIDE  # the label, then all red, all green, all blue values row by row
LARGEST_FILE_BYTES = 20_000 * RECORD_BYTES  # twice the official number of records


def read_cifar10(
    folder: Path, mirrors: Sequence[str] = MIRRORS
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], int]:
    """Return images (N, 32, 32, 3), labels (N,), and the size of the official test part, which comes last.

    The folder holds the archive, which is downloaded when it is absent, or its six files, also in a sub-folder
    cifar-10-batches-bin. What is there already is taken as it is.
    Raises BadImage for a damaged file, DatasetMissing when one of the six is absent, or DownloadFailed.
    """
    contents = _loose_files(folder)
    if contents is None:
        archive = folder / ARCHIVE
        if not archive.is_file():
            download_verified([f"{mirror}{ARCHIVE}" for mirror in mirrors], archive, SHA256)
        contents = _members(archive)
    parts = [_records(name, contents[name]) for name in (*TRAIN_FILES, TEST_FILE)]
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return images, labels, len(parts[-1][1])


def _loose_files(folder: Path) -> dict[str, bytes] | None:
    """The contents of the unpacked files, or None when there are none."""
    for place in (folder, folder / ARCHIVE_FOLDER):
        found = [name for name in (*TRAIN_FILES, TEST_FILE) if (place / name).is_file()]
        if found:
            _require_all(found, place)
            return {name: _content(place / name) for name in found}
    return None


def _content(path: Path) -> bytes:
    if path.stat().st_size > LARGEST_FILE_BYTES:
        raise BadImage(f"{path}: {path.stat().st_size:,} bytes; the limit is {LARGEST_FILE_BYTES:,}")
    return path.read_bytes()


def _members(archive: Path) -> dict[str, bytes]:
    """The contents of the six members, read where they are: nothing of an archive is ever written."""
    wanted = {f"{ARCHIVE_FOLDER}/{name}": name for name in (*TRAIN_FILES, TEST_FILE)}
    contents = {}
    try:
        with open_tar(archive) as tar:
            for member in regular_members(tar):
                if member.name in wanted:
                    if member.size > LARGEST_FILE_BYTES:
                        raise BadImage(f"{archive}: {member.name} has {member.size:,} bytes; too many")
                    file = tar.extractfile(member)
                    assert file is not None
                    contents[wanted[member.name]] = file.read()
    except UNREADABLE as broken:
        raise BadImage(f"{archive}: damaged or truncated archive: {broken}") from broken
    _require_all(contents, archive)
    return contents


def _require_all(found: Sequence[str] | dict[str, bytes], place: Path) -> None:
    missing = [name for name in (*TRAIN_FILES, TEST_FILE) if name not in found]
    if missing:
        raise DatasetMissing(f"data set cifar10: {place} lacks {', '.join(missing)}")


def _records(name: str, content: bytes) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    if not content or len(content) % RECORD_BYTES:
        raise BadImage(f"{name}: {len(content):,} bytes are no whole number of records of {RECORD_BYTES:,} bytes")
    records = np.frombuffer(content, dtype=np.uint8).reshape(-1, RECORD_BYTES)
    labels = records[:, 0].astype(np.int64)
    if labels.max() >= len(CLASS_NAMES):
        raise BadImage(f"{name}: label {labels.max()} in record {labels.argmax()}; labels are 0 to 9")
    images = records[:, 1:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), labels
