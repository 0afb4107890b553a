import json
import tarfile
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from imagemodels.data import BadImage, DatasetMissing, ImageDataset, check_dataset_name, load_dataset
from imagemodels.data.picture_files import tell_nobody
from imagemodels.data.tar_files import TarFiles
from imagemodels.errors import DataError
from storage.index import write_dataset_index
from storage.shards import ImageBatch, ShardMeta, write_shard
from tests.imagemodels.data.pictures import write_class_folders, write_picture
from tests.imagemodels.data.test_archives import Contents, contents_of, write_tar

CLASSES = ("zebra", "ant", "cow")


def picture(folder: Path, seed: int) -> bytes:
    return write_picture(folder / "drawn" / f"{seed}.png", seed).read_bytes()


def samples(folder: Path, labels: list[str], first: int = 0, ending: str = "cls") -> Contents:
    """Images and their labels under the keys 000, 001, …"""
    found: Contents = {}
    for number, label in enumerate(labels, start=first):
        found[f"{number:03d}.png"] = picture(folder, number)
        found[f"{number:03d}.{ending}"] = label.encode()
    return found


def classes_of(dataset: ImageDataset) -> list[str]:
    assert dataset.labels is not None
    return [dataset.class_names[label] for label in dataset.labels]


def output(folder: Path, *, counts: tuple[int, ...] = (5, 4), label_files: bool = False) -> Path:
    """Shards as a generate job writes them."""
    meta = ShardMeta("0" * 64, "fp32", 1, CLASSES, label_files)
    first, records = 0, []
    for number, count in enumerate(counts):
        indices = np.arange(first, first + count)
        images = np.random.default_rng(number).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
        records.append(write_shard(folder, number, [ImageBatch(first, images, indices, indices % 3)], meta))
        first += count
    write_dataset_index(folder, records, name="made")
    return folder


def test_labels_lie_beside_the_images_and_numbers_keep_their_order(tmp_path: Path) -> None:
    place = write_tar(tmp_path / "a.tar", samples(tmp_path, ["10", "2", "2\n", "10", "2"]))
    dataset = load_dataset(place)
    assert dataset.class_names == ("2", "10")
    assert classes_of(dataset) == ["10", "2", "2", "10", "2"]


def test_classes_may_be_named_in_json_and_a_cls_counts_more(tmp_path: Path) -> None:
    described = [json.dumps({"caption": "x", "label": name}) for name in ("dog", "cat", "dog")]
    contents = samples(tmp_path, described, ending="json")
    assert classes_of(load_dataset(write_tar(tmp_path / "a.tar", contents))) == ["dog", "cat", "dog"]
    contents["001.cls"] = b"fox"
    assert classes_of(load_dataset(write_tar(tmp_path / "b.tar", contents))) == ["dog", "fox", "dog"]


def test_a_number_is_the_same_class_however_it_is_written(tmp_path: Path) -> None:
    contents = samples(tmp_path, ["3", "fox"]) | samples(tmp_path, ['{"cls": 3}', '{"cls": "3"}'], 2, "json")
    assert load_dataset(write_tar(tmp_path / "a.tar", contents)).histogram() == {"3": 3, "fox": 1}
    other = samples(tmp_path, ['{"cls": true}', '{"cls": -1}', '{"cls": [1]}', '{"x": 1}', "{"], ending="json")
    assert load_dataset(write_tar(tmp_path / "b.tar", other)).labels is None, "none of these is a label"


@pytest.mark.parametrize("end", ["tar", "tar.gz"])
def test_several_shards_are_one_data_set_by_folder_pattern_or_braces(tmp_path: Path, end: str) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    mode: Literal["w", "w:gz"] = "w:gz" if end == "tar.gz" else "w"
    for number in range(3):
        write_tar(folder / f"part-{number:02d}.{end}", samples(tmp_path, ["a", "b"], 2 * number), mode)
    whole = load_dataset(f"tar:{folder}")
    assert whole.histogram() == {"a": 3, "b": 3}
    for pattern in (f"part-*.{end}", f"part-{{00..02}}.{end}", f"part-{{00,01,02}}.{end}", f"part-0[012].{end}"):
        found = load_dataset(check_dataset_name(f"tar:{folder}/{pattern}"))
        assert found.fingerprint == whole.fingerprint
        assert np.array_equal(found.images, whole.images)
    assert len(load_dataset(f"tar:{folder}/part-0{{0..1}}.{end}")) == 4


def test_samples_of_one_key_in_two_shards_are_two_samples(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    for number in range(2):
        contents = {"0.png": picture(tmp_path, number), "0.cls": str(number).encode()}
        write_tar(tmp_path / "shards" / f"{number}.tar", contents)
    assert classes_of(load_dataset(f"tar:{tmp_path / 'shards'}")) == ["0", "1"]


def test_a_shard_that_braces_name_must_be_there(tmp_path: Path) -> None:
    write_tar(tmp_path / "s-0.tar", samples(tmp_path, ["1"]))
    with pytest.raises(DatasetMissing, match=rf"there is no such file as {tmp_path}/s-1.tar"):
        check_dataset_name(f"tar:{tmp_path}/s-{{0..2}}.tar")
    with pytest.raises(DatasetMissing, match="there is no such file"):
        check_dataset_name(f"tar:{tmp_path}/t-*.tar")
    with pytest.raises(DatasetMissing, match="more than 100,000 archives"):
        check_dataset_name(f"tar:{tmp_path}/s-{{0..999999999}}.tar")


def test_an_image_without_a_label_is_bad_where_others_have_one(tmp_path: Path) -> None:
    contents = samples(tmp_path, ["1", "2", "1"])
    del contents["001.cls"]
    contents["002.cls"] = b"\x00\x01"
    place = write_tar(tmp_path / "a.tar", {**contents, "003.png": picture(tmp_path, 3), "003.json": b"[1]"})
    with pytest.raises(BadImage, match=r"(?s)3 of 4 images .*\n  001.png: no label.*\n  002.png: no label"):
        load_dataset(place)
    dataset = load_dataset(place, on_bad_image="skip")
    assert (classes_of(dataset), len(dataset.bad_images)) == (["1"], 3)


def test_other_labels_are_another_data_set_though_the_images_are_the_same(tmp_path: Path) -> None:
    one, other = samples(tmp_path, ["1", "2", "1", "2"]), samples(tmp_path, ["1", "2", "2", "1"])
    first, second = load_dataset(write_tar(tmp_path / "a", one)), load_dataset(write_tar(tmp_path / "b", other))
    assert np.array_equal(first.images, second.images)
    assert first.fingerprint != second.fingerprint
    assert first.content_fingerprint != second.content_fingerprint


def test_folders_are_classes_where_nothing_labels_the_images(tmp_path: Path) -> None:
    folder = write_class_folders(tmp_path / "pets", {"cat": 3, "dog": 3})
    contents = contents_of(folder) | {"cat/readme.json": b'{"label": "none"}', "notes.cls.txt": b"7"}
    assert load_dataset(write_tar(tmp_path / "a.tar", contents)).histogram() == {"cat": 3, "dog": 3}


@pytest.mark.parametrize("label_files", [False, True])
def test_what_was_generated_is_a_data_set_with_its_classes(tmp_path: Path, label_files: bool) -> None:
    folder = output(tmp_path / "out", label_files=label_files)
    dataset = load_dataset(f"tar:{folder}")
    assert dataset.class_names == CLASSES  # in the model's order, not in that of the alphabet
    assert classes_of(dataset) == [CLASSES[index % 3] for index in range(9)]
    pixels = [
        np.random.default_rng(number).integers(0, 256, (n, 8, 8, 3), dtype=np.uint8) for number, n in ((0, 5), (1, 4))
    ]
    assert np.array_equal(dataset.images, np.concatenate(pixels))
    assert classes_of(load_dataset(f"tar:{folder}/shard-000001.tar")) == ["cow", "zebra", "ant", "cow"]


def test_an_output_that_lacks_a_shard_is_no_smaller_data_set(tmp_path: Path) -> None:
    folder = output(tmp_path / "out")
    (folder / "shard-000001.tar").unlink()
    with pytest.raises(BadImage, match=r"dataset\.json promises 9 images, 5 are in the archives"):
        load_dataset(f"tar:{folder}")


def test_a_damaged_table_or_one_of_other_classes_is_named(tmp_path: Path) -> None:
    folder = output(tmp_path / "out")
    meta = ShardMeta("0" * 64, "fp32", 1, ("x", "y"), False)
    batch = ImageBatch(5, np.zeros((4, 8, 8, 3), np.uint8), np.arange(4), np.zeros(4, np.int64))
    write_shard(folder, 1, [batch], meta)
    with pytest.raises(DataError, match=r"shard-000001.tar names other classes than the shards before it"):
        load_dataset(f"tar:{folder}")
    (folder / "shard-000000.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(BadImage, match=r"shard-000000.parquet: the table of the shard cannot be read"):
        load_dataset(f"tar:{folder}")


def test_a_name_that_is_no_text_is_a_bad_image(tmp_path: Path) -> None:
    place = write_tar(tmp_path / "a.tar", {"a.png": picture(tmp_path, 1), "\udcff.png": picture(tmp_path, 2)})
    with pytest.raises(BadImage, match=r"\\udcff.png: its name is no text in UTF-8"):
        load_dataset(place)


def test_a_sparse_member_is_read_with_its_holes(tmp_path: Path) -> None:
    """GNU tar writes files with holes in another way; their bytes do not lie in one piece."""
    content = picture(tmp_path, 1)
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        entry = tarfile.TarInfo("a.png")
        entry.type = tarfile.GNUTYPE_SPARSE
        entry.size = len(content)
        header = bytearray(entry.tobuf(tarfile.GNU_FORMAT))
        header[386:410] = b"%011o\0%011o\0" % (0, len(content))  # one piece, from the beginning
        header[483:495] = b"%011o\0" % len(content)
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        assert archive.fileobj is not None
        archive.fileobj.write(bytes(header) + content + bytes(-len(content) % 512))
        archive.offset += len(header) + len(content) + -len(content) % 512
    files = TarFiles(tmp_path / "a.tar", tell_nobody)
    assert (list(files.paths), files.read(0)) == (["a.png"], content)
    assert files.stamp() == TarFiles(tmp_path / "a.tar", tell_nobody).stamp()
