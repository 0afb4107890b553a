import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixmill.errors import CorruptFile, DiskFull, StorageError
from storage.atomic import sha256_file
from storage.outputs import link_shard, read_dataset_index, verify_output, write_dataset_index
from storage.places import INDEX_FILE
from storage.shards import write_shard
from tests.storage.samples import META, SizeLimit, image_batch, leftover_files, publish


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "1" / "1" / "1"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "outputs" / "1"


def test_shards_of_several_attempts_make_one_data_set(tmp_path: Path, output: Path) -> None:
    records = [
        write_shard(tmp_path / f"attempt-{number}", number, [image_batch(number * 4, 4)], META) for number in range(3)
    ]
    for record in reversed(records):
        link_shard(record, tmp_path / f"attempt-{record.number}", output)
    assert verify_output(output, records).is_intact
    source = tmp_path / "attempt-1" / records[1].tar
    assert (output / records[1].tar).samefile(source)


def test_linking_twice_changes_nothing(run: Path, output: Path) -> None:
    (record,) = publish(run, (4,))
    link_shard(record, run, output)
    before = {path: path.stat().st_ino for path in output.iterdir()}
    link_shard(record, run, output)
    assert {path: path.stat().st_ino for path in output.iterdir()} == before
    assert len(before) == 3


def test_the_data_set_outlives_the_folder_of_the_attempt(run: Path, output: Path) -> None:
    records = publish(run, (4,))
    link_shard(records[0], run, output)
    for path in run.iterdir():
        path.unlink()
    assert verify_output(output, records).is_intact


def test_other_bytes_under_the_name_are_replaced(tmp_path: Path, run: Path, output: Path) -> None:
    (wrong,) = publish(output, (3,))
    (record,) = publish(run, (4,))
    assert wrong != record
    link_shard(record, run, output)
    assert verify_output(output, [record]).is_intact


def test_an_equal_copy_stays_where_it_is(tmp_path: Path, run: Path, output: Path) -> None:
    (record,) = publish(run, (4,))
    publish(output, (4,))  # the same bytes in another file
    inode = (output / record.tar).stat().st_ino
    link_shard(record, run, output)
    assert (output / record.tar).stat().st_ino == inode


def test_a_source_that_is_not_the_recorded_shard_is_refused(tmp_path: Path, run: Path, output: Path) -> None:
    (record,) = publish(run, (4,))
    (other,) = publish(tmp_path / "other", (5,))
    with pytest.raises(CorruptFile, match="describes another shard"):
        link_shard(other, run, output)
    path = run / record.tar
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptFile, match=r"has 10,239 bytes, recorded 10,240"):
        link_shard(record, run, output)
    path.unlink()
    with pytest.raises(CorruptFile, match="is missing, recorded 10,240 bytes"):
        link_shard(record, run, output)
    assert not output.exists()


@pytest.fixture
def other_file_system(tmp_path: Path) -> Iterator[Path]:
    """A folder that no hard link of tmp_path reaches."""
    candidates = [Path(name) for name in ("/dev/shm", "/tmp", "/var/tmp") if os.access(name, os.W_OK)]
    others = [path for path in candidates if path.stat().st_dev != tmp_path.stat().st_dev]
    assert others, f"none of {candidates} is on another file system than {tmp_path}"
    with tempfile.TemporaryDirectory(dir=others[0]) as folder:
        yield Path(folder)


def test_another_file_system_gets_a_checked_copy(
    run: Path, other_file_system: Path, file_size_limit: SizeLimit
) -> None:
    (record,) = publish(run, (40,))
    with file_size_limit(1000), pytest.raises(DiskFull):
        link_shard(record, run, other_file_system)
    assert leftover_files(other_file_system) == []
    link_shard(record, run, other_file_system)
    assert sha256_file(other_file_system / record.tar) == record.tar_sha256
    assert verify_output(other_file_system, [record]).is_intact


def test_a_source_that_changed_is_not_copied(run: Path, other_file_system: Path) -> None:
    (record,) = publish(run, (4,))
    content = bytearray((run / record.tar).read_bytes())
    content[600] ^= 1
    (run / record.tar).write_bytes(content)
    with pytest.raises(CorruptFile, match="has changed since it was recorded"):
        link_shard(record, run, other_file_system)
    assert list(other_file_system.iterdir()) == []


def test_the_index_tells_what_the_data_set_is(output: Path) -> None:
    records = publish(output)
    index = write_dataset_index(output, records[::-1], name="cats", details={"job": 12})
    assert read_dataset_index(output) == index
    assert index.images == 25
    assert index.shards == tuple(records)
    assert (index.height, index.width, index.channels) == (8, 8, 3)
    assert index.class_names == META.class_names
    assert (index.checkpoints, index.seeds, index.precisions) == (("c" * 64,), (7,), ("fp32",))
    assert index.details == {"job": 12}


def test_the_index_has_the_same_bytes_each_time(tmp_path: Path) -> None:
    digests = set()
    for folder in (tmp_path / "a", tmp_path / "b"):
        write_dataset_index(folder, publish(folder), name="cats")
        digests.add(sha256_file(folder / INDEX_FILE))
    assert len(digests) == 1


def test_an_incomplete_data_set_gets_no_index(output: Path) -> None:
    records = publish(output)
    for part in ([], records[1:], [records[0], records[2]], [records[0], *records]):
        with pytest.raises(StorageError, match="no complete data set"):
            write_dataset_index(output, part, name="cats")
    (output / records[1].marker).unlink()
    with pytest.raises(CorruptFile, match="marker is missing"):
        write_dataset_index(output, records, name="cats")
    assert not (output / INDEX_FILE).exists()


def test_images_of_two_sizes_are_no_data_set(output: Path) -> None:
    records = [
        write_shard(output, 0, [image_batch(0, 2)], META),
        write_shard(output, 1, [image_batch(2, 2, side=9)], META),
    ]
    with pytest.raises(StorageError, match="differ in image shape"):
        write_dataset_index(output, records, name="cats")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "pixmill-dataset"}'])
def test_an_index_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / INDEX_FILE).write_text(text, encoding="utf-8")
    with pytest.raises(CorruptFile, match=r"dataset\.json"):
        read_dataset_index(tmp_path)


def test_a_missing_index_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorruptFile, match="is missing"):
        read_dataset_index(tmp_path)
