import hashlib
import json
import os
from pathlib import Path

import pytest

from pixmill.errors import CorruptFile, StorageError
from storage.filesets import FileSet, export, pixels_digest, read_image_file, read_manifest, seal, write_image_file
from tests.storage.samples import random_images

CONTENTS = (b"first", b"second file", b"")


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    """The manifest of three files."""
    folder = tmp_path / "set"
    images = random_images(3, 8, 8, 1)
    stored = [
        write_image_file(folder, f"{number}.bin", content, pixels_digest(image))
        for number, (content, image) in enumerate(zip(CONTENTS, images, strict=True))
    ]
    files = FileSet(model="m@1", model_digest="d", computed_on="here", image_size=8, channels=1, images=tuple(stored))
    return seal(folder, files)


def test_a_set_reads_back_as_it_was_sealed(sealed: Path) -> None:
    files = read_manifest(sealed)
    assert [read_image_file(sealed.parent, image) for image in files.images] == list(CONTENTS)
    assert files.size_bytes == sum(map(len, CONTENTS))
    lines = "".join(f"{hashlib.sha256(content).hexdigest()}  {n}.bin\n" for n, content in enumerate(CONTENTS))
    assert files.digest == hashlib.sha256(lines.encode()).hexdigest()


def test_an_exported_set_is_a_set(sealed: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    export(sealed, tmp_path / "a" / "b", lambda done, total: told.append((done, total)))
    assert read_manifest(tmp_path / "a" / "b" / "manifest.json") == read_manifest(sealed)
    assert (tmp_path / "a" / "b" / "images" / "1.bin").read_bytes() == CONTENTS[1]
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_an_export_waits_for_the_disk_once_a_file_and_for_the_manifest_last(
    sealed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, synced = os.fsync, list[str]()

    def fsync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    export(sealed, tmp_path / "out")
    assert synced[:4] == ["0.bin", "1.bin", "2.bin", "images"]
    assert [name.startswith(".manifest.json") for name in synced[4:]] == [True, False], "then the folder that it is in"


def test_a_changed_or_missing_file_ends_the_export_before_there_is_a_manifest(sealed: Path, tmp_path: Path) -> None:
    (sealed.parent / "images" / "1.bin").write_bytes(b"Second file")
    with pytest.raises(CorruptFile, match=r"1\.bin has changed"):
        export(sealed, tmp_path / "out")
    (sealed.parent / "images" / "1.bin").unlink()
    with pytest.raises(CorruptFile, match=r"1\.bin is missing"):
        export(sealed, tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.json").exists()


@pytest.mark.parametrize("change", ["version", "name", "digest", "type", "text"])
def test_what_is_no_manifest_is_refused(sealed: Path, change: str) -> None:
    values = json.loads(sealed.read_text())
    if change == "version":
        values["version"] = 2
    elif change == "name":
        values["images"][0]["name"] = "../0.bin"
    elif change == "digest":
        values["images"][0]["sha256"] = "no hash"
    elif change == "type":
        values = [values]
    sealed.write_text("{" if change == "text" else json.dumps(values))
    with pytest.raises(CorruptFile, match="is no manifest of image files"):
        read_manifest(sealed)


def test_a_manifest_that_is_not_there_is_an_error_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"manifest\.json"):
        read_manifest(tmp_path / "manifest.json")
