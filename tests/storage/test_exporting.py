from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pixmill.errors import CorruptFile, UserError
from storage.choices import Choices
from storage.encoders import find_encoder
from storage.exporting import Wanted, export_dataset
from storage.formats.table import FORMATS
from storage.outputs import read_dataset_index, verify_output, write_dataset_index
from storage.querying import find_rows, parse_condition
from storage.records import ShardRecord
from storage.shards import read_images, read_rows, write_shard
from tests.storage.samples import META, image_batch, publish

Published = tuple[Path, list[ShardRecord]]


@pytest.fixture
def published(tmp_path: Path) -> Published:
    folder = tmp_path / "source"
    records = publish(folder, (6, 3))
    write_dataset_index(folder, records, name="cats", details={"model": "cats@1"})
    return folder, records


@pytest.fixture(scope="module")
def queried(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """The same, only to be read."""
    folder = tmp_path_factory.mktemp("queried")
    return folder, publish(folder, (6, 3))


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_an_exported_data_set_has_the_same_images_and_comes_back_byte_for_byte(
    published: Published, tmp_path: Path, name: str
) -> None:
    source, records = published
    index = export_dataset(source, records, tmp_path / "other", Wanted(format_name=name))
    assert index == read_dataset_index(tmp_path / "other")
    assert (index.images, index.class_names, index.details["model"]) == (9, META.class_names, "cats@1")
    assert verify_output(tmp_path / "other", index.shards).problems == ()
    for number in (0, 1):
        ours, theirs = read_images(source, number), read_images(tmp_path / "other", number)
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])
    back = export_dataset(tmp_path / "other", index.shards, tmp_path / "back", Wanted(format_name="webdataset"))
    assert list(back.shards) == records


def test_new_image_files_may_be_made_on_the_way(published: Published, tmp_path: Path) -> None:
    source, records = published
    wanted = Wanted(format_name="files", encoder=find_encoder("jpeg"))
    index = export_dataset(source, records, tmp_path / "jpeg", wanted)
    assert (index.details["lossy"], index.encoders[0].split()[0]) == (True, "jpeg-95")
    assert verify_output(tmp_path / "jpeg", index.shards).is_intact
    wanted = Wanted(format_name="webdataset", label_files=True)
    labelled = export_dataset(source, records, tmp_path / "labelled", wanted)
    assert labelled.shards[0].tar_sha256 != records[0].tar_sha256
    assert [row.sha256 for row in read_rows(tmp_path / "labelled", 0)] == [row.sha256 for row in read_rows(source, 0)]


def test_nothing_is_exported_over_other_files_nor_of_a_damaged_shard(published: Published, tmp_path: Path) -> None:
    source, records = published
    with pytest.raises(UserError, match="is not an empty folder"):
        export_dataset(source, records, source, Wanted(format_name="raw"))
    row = read_rows(source, 1)[2]
    content = bytearray((source / records[1].tar).read_bytes())
    content[row.offset + 50] ^= 1
    (source / records[1].tar).write_bytes(content)
    with pytest.raises(CorruptFile, match="image 8 has changed"):
        export_dataset(source, records, tmp_path / "other", Wanted(format_name="parquet"))
    assert not (tmp_path / "other" / "dataset.json").exists()


@pytest.mark.parametrize(
    ("conditions", "indexes"),
    [
        ([], range(9)),
        (["label == 2"], [2, 5, 8]),
        (["label=cat"], [0, 3, 6]),
        (["class in cat, 'é'", "index >= 3"], [3, 5, 6, 8]),
        (["class != dog", "index<3"], [0, 2]),
        (["seed in 11,66"], [1, 6]),
        (["key == 000000004"], [4]),
        (["label == null"], []),
        (["label != null", "index > 6"], [7, 8]),
    ],
)
def test_rows_are_found_by_what_stands_in_them(
    queried: Published, conditions: list[str], indexes: "range | list[int]"
) -> None:
    found = list(find_rows(*queried, [parse_condition(text) for text in conditions]))
    assert [row["index"] for row in found] == list(indexes)
    assert all(row["class"] == META.class_names[row["label"]] for row in found)


def test_an_image_is_found_by_its_hash(queried: Published) -> None:
    source, records = queried
    row = read_rows(source, 1)[0]
    (found,) = find_rows(source, records, [parse_condition(f"sha256 == {row.sha256.hex()}")])
    assert (found["index"], found["sha256"]) == (6, row.sha256.hex())


def test_what_is_known_of_chosen_images_can_be_asked_for_and_is_exported(tmp_path: Path) -> None:
    plain, ones = image_batch(0, 4), np.ones(4)
    choices = Choices(
        candidate=np.array([0, 2, 0, 5]),
        checkpoint=np.zeros(4, np.int64),
        truncation=ones * 0.7,
        confidence=np.array([0.9, 0.5, np.nan, 0.4]),
        accepted=np.array([True, True, True, False]),
    )
    source = tmp_path / "source"
    record = write_shard(source, 0, [replace(plain, choices=choices)], META)
    write_dataset_index(source, [record], name="cats")
    index = export_dataset(source, [record], tmp_path / "raw", Wanted(format_name="raw"))
    for text, indexes in (("accepted == false", [3]), ("confidence < 0.6", [1, 3]), ("confidence == null", [2])):
        for folder, records in ((source, [record]), (tmp_path / "raw", index.shards)):
            found = find_rows(folder, records, [parse_condition(text)])
            assert [row["index"] for row in found] == indexes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label", "is no condition"),
        ("__import__('os') == 1", "is no condition"),
        ("lable == 1", "there is no column 'lable'"),
        ("label == cow", "there is no class 'cow'"),
        ("size == large", "'large' does not fit column size"),
        ("sha256 == 12", "'12' does not fit column sha256"),
        ("class < dog", "classes have no order"),
        ("size > null", "size > null means nothing"),
    ],
)
def test_a_condition_that_means_nothing_is_refused_in_one_line(queried: Published, text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        list(find_rows(*queried, [parse_condition(text)]))
    assert message in caught.value.message
