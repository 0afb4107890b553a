import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from imagemodels.data import BadImage, DatasetMissing, DownloadFailed, load_dataset
from imagemodels.data.cifar import (
    ARCHIVE,
    ARCHIVE_FOLDER,
    CLASS_NAMES,
    MIRRORS,
    SHA256,
    TEST_FILE,
    TRAIN_FILES,
    read_cifar10,
)

PER_FILE = 12


def pixels(file: int, number: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng([file, number]).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def contents() -> dict[str, bytes]:
    """The six files as the format's page describes them, with few records each."""
    found = {}
    for file, name in enumerate((*TRAIN_FILES, TEST_FILE)):
        records = []
        for number in range(PER_FILE):
            image = pixels(file, number)
            planes = b"".join(image[:, :, channel].tobytes() for channel in range(3))
            records.append(bytes([number % 10]) + planes)
        found[name] = b"".join(records)
    return found


def write_archive(path: Path, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, content in {"readme.html": b"<html>", **files}.items():
            entry = tarfile.TarInfo(f"{ARCHIVE_FOLDER}/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


def write_loose(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_every_record_is_read_with_its_label_and_its_colours_in_place(tmp_path: Path) -> None:
    images, labels, test_count = read_cifar10(write_loose(tmp_path, contents()))
    assert images.shape == (6 * PER_FILE, 32, 32, 3)
    assert test_count == PER_FILE
    for file in range(6):
        for number in range(PER_FILE):
            assert np.array_equal(images[file * PER_FILE + number], pixels(file, number))
            assert labels[file * PER_FILE + number] == number % 10


@pytest.mark.parametrize("layout", ["archive", "loose", "unpacked"])
def test_the_archive_and_its_files_are_one_data_set_with_the_official_split(tmp_path: Path, layout: str) -> None:
    home = tmp_path / "cifar10"
    if layout == "archive":
        write_archive(home / ARCHIVE, contents())
    else:
        write_loose(home if layout == "loose" else home / ARCHIVE_FOLDER, contents())
    dataset = load_dataset("cifar10", root=tmp_path)
    other = load_dataset("cifar10", root=write_archive(tmp_path / "other" / "cifar10" / ARCHIVE, contents()).parents[1])
    assert dataset.fingerprint == other.fingerprint
    assert dataset.class_names == CLASS_NAMES
    assert (dataset.image_size, dataset.channels, dataset.split) == (32, 3, "official")
    assert dataset.test_indices.tolist() == list(range(5 * PER_FILE, 6 * PER_FILE))


def test_it_is_made_gray_and_small_where_asked(tmp_path: Path) -> None:
    write_loose(tmp_path / "cifar10", contents())
    assert load_dataset("cifar10", root=tmp_path, image_size=16, channels=1).images.shape == (72, 16, 16, 1)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    files = contents()
    del files["data_batch_3.bin"]
    with pytest.raises(DatasetMissing, match=rf"{tmp_path} lacks data_batch_3.bin"):
        read_cifar10(write_loose(tmp_path, files))
    with pytest.raises(DatasetMissing, match=r"cifar-10-binary.tar.gz lacks data_batch_3.bin"):
        read_cifar10(write_archive(tmp_path / "packed" / ARCHIVE, files).parent)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda content: content[:-1], r"data_batch_2.bin: 36,875 bytes are no whole number of records of 3,073"),
        (lambda _: b"", "data_batch_2.bin: 0 bytes are no whole number"),
        (lambda content: b"\x0b" + content[1:], "data_batch_2.bin: label 11 in record 0; labels are 0 to 9"),
        (lambda _: bytes(3073 * 20_001), "the limit is 61,460,000|too many"),
    ],
)
@pytest.mark.parametrize("packed", [True, False])
def test_a_damaged_file_is_refused_with_its_reason(tmp_path: Path, damage: object, reason: str, packed: bool) -> None:
    assert callable(damage)
    files = contents()
    files["data_batch_2.bin"] = damage(files["data_batch_2.bin"])
    folder = write_archive(tmp_path / ARCHIVE, files).parent if packed else write_loose(tmp_path, files)
    with pytest.raises(BadImage, match=reason):
        read_cifar10(folder)


@pytest.mark.parametrize("kept", [0, 100, 20_000])
def test_a_truncated_archive_is_refused(tmp_path: Path, kept: int) -> None:
    path = write_archive(tmp_path / ARCHIVE, contents())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(BadImage, match="damaged or truncated archive"):
        read_cifar10(tmp_path)


def test_without_a_mirror_it_is_told_where_to_put_the_archive(tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match=rf"put it at {tmp_path / ARCHIVE}"):
        read_cifar10(tmp_path, ["http://127.0.0.1:9/"])
    assert list(tmp_path.iterdir()) == []


def test_the_mirrors_are_secure_and_the_checksum_is_whole() -> None:
    assert all(mirror.startswith("https://") and mirror.endswith("/") for mirror in MIRRORS)
    assert len(bytes.fromhex(SHA256)) == hashlib.sha256().digest_size
