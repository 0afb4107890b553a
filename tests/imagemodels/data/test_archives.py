import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from imagemodels.data import BadImage, DatasetMissing, UnknownDataset, load_dataset
from imagemodels.data.archive_files import ZipFiles
from imagemodels.data.picture_files import tell_nobody
from imagemodels.data.source import check_dataset_name
from imagemodels.data.tar_files import TarFiles
from tests.imagemodels.data.pictures import write_class_folders, write_picture

Contents = dict[str, bytes]


def write_zip(path: Path, contents: Contents) -> str:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return f"zip:{path}"


def write_tar(path: Path, contents: Contents, mode: Literal["w", "w:gz", "w:xz"] = "w") -> str:
    with tarfile.open(path, mode) as archive:
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return f"tar:{path}"


WRITERS: dict[str, Callable[[Path, Contents], str]] = {
    "zip": write_zip,
    "tar": write_tar,
    "tar.gz": lambda path, contents: write_tar(path, contents, "w:gz"),
    "tar.xz": lambda path, contents: write_tar(path, contents, "w:xz"),
}
each_kind = pytest.mark.parametrize("kind", WRITERS)


def contents_of(folder: Path, prefix: str = "") -> Contents:
    files = (Path(root, name) for root, _, names in os.walk(folder) for name in names)
    return {prefix + file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


@each_kind
@pytest.mark.parametrize("prefix", ["", "./", "pets/"])
def test_an_archive_is_the_data_set_of_its_folder(tmp_path: Path, kind: str, prefix: str) -> None:
    folder = write_class_folders(tmp_path / "pets", {"dog": 6, "cat": 5})
    unpacked = load_dataset(f"folder:{folder}")
    packed = load_dataset(WRITERS[kind](tmp_path / f"pets.{kind}", contents_of(folder, prefix)))
    assert packed.name == f"{kind[:3]}:{tmp_path / f'pets.{kind}'}"
    assert packed.fingerprint == unpacked.fingerprint
    assert np.array_equal(packed.images, unpacked.images)
    assert packed.class_names == ("cat", "dog")
    assert packed.histogram() == unpacked.histogram()


@each_kind
def test_a_single_folder_with_nothing_below_is_a_class(tmp_path: Path, kind: str) -> None:
    folder = write_class_folders(tmp_path / "all", {"cat": 5})
    dataset = load_dataset(WRITERS[kind](tmp_path / "a", contents_of(folder)))
    assert dataset.class_names == ("cat",)


@each_kind
def test_train_and_test_below_the_top_folder_part_the_images(tmp_path: Path, kind: str) -> None:
    write_class_folders(tmp_path / "x" / "train", {"cat": 4, "dog": 4})
    write_class_folders(tmp_path / "x" / "test", {"cat": 1, "dog": 2})
    dataset = load_dataset(WRITERS[kind](tmp_path / "a", contents_of(tmp_path / "x", "pets/")))
    assert (dataset.split, len(dataset.train_indices), len(dataset.test_indices)) == ("folders", 8, 3)


@each_kind
def test_hidden_files_and_what_archivers_add_are_passed_over(tmp_path: Path, kind: str) -> None:
    picture = write_picture(tmp_path / "a.png", 1).read_bytes()
    names = ("a.png", "__MACOSX/._a.png", ".thumbs/b.png", ".c.png", "readme.txt")
    dataset = load_dataset(WRITERS[kind](tmp_path / "a", dict.fromkeys(names, picture)))
    assert len(dataset) == 1


@each_kind
@pytest.mark.parametrize("name", ["../../etc/evil.png", "/etc/evil.png", "a/../../evil.png"])
def test_a_name_that_leads_out_is_refused_and_nothing_is_written(tmp_path: Path, kind: str, name: str) -> None:
    picture = write_picture(tmp_path / "in" / "a.png", 1).read_bytes()
    place = WRITERS[kind](tmp_path / "evil", {"b.png": picture, "c.png": picture, name: picture})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BadImage, match=r"(?s)1 of 3 images in .*: a name that leads out of the archive"):
        load_dataset(place, image_size=8)
    assert len(load_dataset(place, image_size=8, on_bad_image="skip")) == 2
    assert sorted(tmp_path.rglob("*")) == before


@each_kind
def test_bad_images_are_named_and_counted(tmp_path: Path, kind: str) -> None:
    picture = write_picture(tmp_path / "a.png", 1, (64, 64)).read_bytes()
    bad = {"0.png": b"", "1.png": b"no picture", "2.png": picture[: len(picture) // 2]}
    place = WRITERS[kind](tmp_path / "a", {**bad, "3.png": picture})
    with pytest.raises(BadImage, match=r"3 of 4 images in .* are unusable:\n  0.png: the file is empty\n  1.png: not"):
        load_dataset(place, image_size=8)
    dataset = load_dataset(place, image_size=8, on_bad_image="skip")
    assert [path for path, _ in dataset.bad_images] == ["0.png", "1.png", "2.png"]


@each_kind
def test_an_archive_without_images_says_so(tmp_path: Path, kind: str) -> None:
    with pytest.raises(DatasetMissing, match=r"no image in it or below it \(1 other files\)"):
        load_dataset(WRITERS[kind](tmp_path / "a", {"notes.txt": b"no picture"}))


@each_kind
def test_a_damaged_archive_is_refused_with_its_reason(tmp_path: Path, kind: str) -> None:
    folder = write_class_folders(tmp_path / "pets", {"dog": 20, "cat": 20})
    place = WRITERS[kind](tmp_path / "a", contents_of(folder))
    path = tmp_path / "a"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadImage, match=r"truncated|unusable"):
        load_dataset(place)
    content = bytearray(whole)
    for place_in_file in range(len(content) // 3, len(content), 97):
        content[place_in_file] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(BadImage, match=r"damaged|unusable"):
        load_dataset(place)
    path.write_bytes(b"something else altogether")
    with pytest.raises(BadImage, match=rf"data set {place}: damaged or truncated archive"):
        load_dataset(place)


@pytest.mark.parametrize("end", ["header", "mark"])
def test_a_tar_that_ends_before_its_end_mark_is_no_smaller_data_set(tmp_path: Path, end: str) -> None:
    contents = {f"{number}.png": write_picture(tmp_path / f"{number}.png", number).read_bytes() for number in range(5)}
    place = write_tar(tmp_path / "a.tar", contents)
    with tarfile.open(tmp_path / "a.tar") as archive:
        third = archive.getmembers()[3].offset
    content = (tmp_path / "a.tar").read_bytes()
    broken = content[:third] + b"?" * 512 + content[third + 512 :] if end == "header" else content[:third]
    (tmp_path / "a.tar").write_bytes(broken)
    with pytest.raises(BadImage, match=rf"damaged or truncated archive: no header and no end mark at byte {third:,}"):
        load_dataset(place, image_size=8)


def test_a_compressed_tar_is_compared_with_its_checksum(tmp_path: Path) -> None:
    place = write_tar(tmp_path / "a", {"a.png": write_picture(tmp_path / "a.png", 1).read_bytes()}, "w:gz")
    content = bytearray((tmp_path / "a").read_bytes())
    content[-8] ^= 0xFF
    (tmp_path / "a").write_bytes(bytes(content))
    with pytest.raises(BadImage, match="damaged or truncated archive: CRC check failed"):
        load_dataset(place, image_size=8)


def test_a_member_that_was_changed_is_bad_by_its_checksum(tmp_path: Path) -> None:
    picture = write_picture(tmp_path / "a.png", 1).read_bytes()
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a.png", picture)
        archive.writestr("b.png", picture)
    content = bytearray(path.read_bytes())
    content[content.index(picture) + len(picture) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(BadImage, match=r"1 of 2 images .*\n  a.png: cannot be read from the archive: Bad CRC-32"):
        load_dataset(f"zip:{path}", image_size=8)


def test_links_and_devices_of_a_tar_are_no_images(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"a.png": write_picture(tmp_path / "a.png", 1).read_bytes()})
    with tarfile.open(tmp_path / "a.tar", "a") as archive:
        for name, kind in (("b.png", tarfile.SYMTYPE), ("c.png", tarfile.FIFOTYPE), ("d.png", tarfile.LNKTYPE)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "/etc/passwd"
            archive.addfile(entry)
    assert len(load_dataset(f"tar:{tmp_path / 'a.tar'}", image_size=8)) == 1


def test_an_encrypted_member_is_bad_and_says_why(tmp_path: Path) -> None:
    place = write_zip(tmp_path / "a.zip", {"a.png": write_picture(tmp_path / "a.png", 1).read_bytes()})
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[6] |= 1  # the flags of the member, and of its entry in the directory
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(bytes(content))
    with pytest.raises(BadImage, match=r"a.png: cannot be read from the archive: .*encrypted"):
        load_dataset(place, image_size=8)


def test_a_compressed_tar_is_read_once_and_a_plain_one_where_its_files_lie(tmp_path: Path) -> None:
    contents = {f"{number}.png": write_picture(tmp_path / f"{number}.png", number).read_bytes() for number in range(5)}
    write_tar(tmp_path / "plain.tar", contents)
    write_tar(tmp_path / "packed.tar.gz", contents, "w:gz")
    plain, packed = TarFiles(tmp_path / "plain.tar", tell_nobody), TarFiles(tmp_path / "packed.tar.gz", tell_nobody)
    assert (len(plain._members.kept), len(packed._members.kept)) == (0, 5)
    for number, path in reversed(list(enumerate(plain.paths))):
        assert plain.read(number) == packed.read(number) == contents[path]
    plain.close()
    packed.close()


def test_members_of_one_name_are_one_file_the_last(tmp_path: Path) -> None:
    first, second = (write_picture(tmp_path / f"{seed}.png", seed).read_bytes() for seed in (1, 2))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.png", first)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.png", second)
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for content in (first, second):
            entry = tarfile.TarInfo("a.png")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    for files in (ZipFiles(tmp_path / "a.zip", tell_nobody), TarFiles(tmp_path / "a.tar", tell_nobody)):
        assert list(files.paths) == ["a.png"]
        assert files.read(0) == second
        files.close()


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_what_is_no_archive_is_refused_before_a_job_is_made(tmp_path: Path, kind: str) -> None:
    with pytest.raises(DatasetMissing, match=rf"data set {kind}:{tmp_path}/none: there is no such file"):
        check_dataset_name(f"{kind}:{tmp_path}/none")
    with pytest.raises(
        DatasetMissing,
        match=rf"folder.* write folder:{tmp_path}",
    ):
        check_dataset_name(f"{kind}:{tmp_path}")


@pytest.mark.parametrize(("name", "kind"), [("a.zip", "zip"), ("a.tar", "tar"), ("a.tar.gz", "tar"), ("a.tgz", "tar")])
def test_a_path_without_its_kind_gets_a_hint(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(UnknownDataset, match=rf"did you mean '{kind}:{tmp_path / name}'\?"):
        check_dataset_name(str(tmp_path / name))


@pytest.mark.parametrize("path", ["~nobody has that name/x", "~a\0b", "a" * 5000, "a\0b", "\udc80"])
@pytest.mark.parametrize("kind", ["folder", "zip", "tar", "idx", ""])
def test_a_path_that_cannot_be_is_missing_and_nothing_worse(path: str, kind: str) -> None:
    with pytest.raises((DatasetMissing, UnknownDataset)):
        check_dataset_name(f"{kind}:{path}" if kind else path)
