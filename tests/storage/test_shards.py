import dataclasses
import hashlib
import io
import json
import signal
import subprocess
import sys
import tarfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pixmill.errors import CorruptFile, DiskFull, StorageError
from storage.manifest import Edit, read_metadata
from storage.markers import find_markers
from storage.png import ENCODER, ZLIB_ENCODER
from storage.shards import (
    CHUNK_BYTES,
    ImageBatch,
    ShardMeta,
    ShardWriter,
    read_images,
    read_marker,
    read_rows,
    read_shard,
    write_shard,
)
from tests.storage.samples import META, SizeLimit, image_batch, random_images

KILLED_WRITER = """
import sys
from pathlib import Path
from storage.shards import ShardWriter
from tests.storage.samples import META, image_batch
writer = ShardWriter(Path(sys.argv[1]), 0, META)
writer.add(image_batch(0, 50))
print("half", flush=True)
sys.stdin.read()
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_shard_is_three_files_and_the_record_holds_their_hashes(tmp_path: Path) -> None:
    record = write_shard(tmp_path, 123, [image_batch(40, 6), image_batch(46, 4)], META, expected_count=10)
    assert names(tmp_path) == ["shard-000123.json", "shard-000123.parquet", "shard-000123.tar"]
    assert (record.number, record.first_index, record.count) == (123, 40, 10)
    for name, sha256, size_bytes in (
        (record.tar, record.tar_sha256, record.tar_bytes),
        (record.parquet, record.parquet_sha256, record.parquet_bytes),
    ):
        content = (tmp_path / name).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (sha256, size_bytes)


def test_every_image_comes_back_with_its_row(tmp_path: Path) -> None:
    source = image_batch(40, 10)
    write_shard(tmp_path, 4, [source], META)
    rows = []
    with tarfile.open(tmp_path / "shard-000004.tar") as archive:
        for position, (row, file) in enumerate(read_shard(tmp_path, 4)):
            member = archive.getmember(f"{row.key}.png")
            assert (member.offset_data, member.size) == (row.offset, row.size)
            with Image.open(io.BytesIO(file)) as opened:
                np.testing.assert_array_equal(np.asarray(opened), source.images[position])
            rows.append(row)
    assert [row.index for row in rows] == list(range(40, 50))
    assert [row.key for row in rows] == [f"{index:09d}" for index in range(40, 50)]
    assert [row.seed for row in rows] == source.seeds.tolist()
    assert source.labels is not None
    assert [row.label for row in rows] == source.labels.tolist()
    assert {(row.width, row.height) for row in rows} == {(8, 8)}


def test_pixels_and_labels_come_back_as_arrays(tmp_path: Path) -> None:
    source = image_batch(0, 10)
    write_shard(tmp_path, 0, [source], META)
    images, labels = read_images(tmp_path, 0)
    np.testing.assert_array_equal(images, source.images)
    np.testing.assert_array_equal(labels, source.labels)
    some, _ = read_images(tmp_path, 0, start=3, count=4)
    np.testing.assert_array_equal(some, source.images[3:7])
    with pytest.raises(StorageError, match="has no images from 10"):
        read_images(tmp_path, 0, start=10)


def test_gray_images_without_labels_stay_gray_and_unlabelled(tmp_path: Path) -> None:
    images = random_images(5, 7, 9, 1)
    write_shard(tmp_path, 0, [ImageBatch(0, images, np.arange(5))], META)
    read, labels = read_images(tmp_path, 0)
    np.testing.assert_array_equal(read, images)
    assert labels is None
    assert (read_rows(tmp_path, 0)[0].width, read_rows(tmp_path, 0)[0].height) == (9, 7)


def test_the_same_images_give_the_same_bytes_however_they_are_batched(tmp_path: Path) -> None:
    whole = write_shard(tmp_path / "a", 1, [image_batch(10, 12)], META)
    parts = write_shard(tmp_path / "b", 1, [image_batch(10, 1), image_batch(11, 8), image_batch(19, 3)], META)
    again = write_shard(tmp_path / "a", 1, [image_batch(10, 12)], META)
    assert whole == parts == again
    for name in (whole.tar, whole.parquet):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert read_marker(tmp_path / "a", 1) == read_marker(tmp_path / "b", 1)


def test_a_batch_larger_than_a_chunk_is_cut_without_a_trace(tmp_path: Path) -> None:
    count = 2 * CHUNK_BYTES // (64 * 64 * 3)
    images = np.broadcast_to(random_images(1, 64, 64, 3), (count, 64, 64, 3))
    record = write_shard(tmp_path, 0, [ImageBatch(0, images, np.arange(count))], META)
    assert record.count == count == len(read_rows(tmp_path, 0))


def test_the_marker_tells_what_the_shard_was_made_from(tmp_path: Path) -> None:
    record = write_shard(tmp_path, 0, [image_batch(0, 3)], META)
    marker = read_marker(tmp_path, 0)
    assert marker.record == record
    assert marker.meta == META
    assert (marker.height, marker.width, marker.channels) == (8, 8, 3)
    assert (marker.encoder, marker.encoder_version) == (ENCODER.name, ENCODER.version)
    assert set(marker.timings) >= {"encode_seconds", "hash_seconds", "write_seconds", "total_seconds"}
    assert read_metadata(tmp_path / record.parquet) == {
        "checkpoint_sha256": META.checkpoint_sha256,
        "precision": "fp32",
        "seed": "7",
        "class_names": '["cat", "dog", "é"]',
        "encoder": ENCODER.name,
        "encoder_version": ENCODER.version,
    }


def test_another_encoder_is_named_and_keeps_the_pixels(tmp_path: Path) -> None:
    write_shard(tmp_path, 0, [image_batch(0, 3)], META, encoder=ZLIB_ENCODER)
    assert read_marker(tmp_path, 0).encoder == "png-up-zlib"
    np.testing.assert_array_equal(read_images(tmp_path, 0)[0], image_batch(0, 3).images)


def test_label_files_lie_beside_their_images(tmp_path: Path) -> None:
    meta = ShardMeta("c" * 64, "bf16", 7, label_files=True)
    write_shard(tmp_path, 0, [image_batch(0, 4)], meta)
    with tarfile.open(tmp_path / "shard-000000.tar") as archive:
        members = archive.getnames()
        label = archive.extractfile("000000002.cls")
        assert label is not None
        assert label.read() == b"2"
    assert members[:4] == ["000000000.png", "000000000.cls", "000000001.png", "000000001.cls"]
    np.testing.assert_array_equal(read_images(tmp_path, 0)[0], image_batch(0, 4).images)


def test_a_row_takes_less_than_40_bytes_of_which_the_hash_is_32(tmp_path: Path) -> None:
    pixels = np.arange(2000, dtype=np.uint32).view(np.uint8).reshape(2000, 2, 2, 1)
    record = write_shard(tmp_path, 0, [ImageBatch(0, pixels, np.arange(2000), np.arange(2000) % 10)], META)
    assert record.parquet_bytes / record.count < 40


def test_memory_does_not_grow_with_the_number_of_batches(tmp_path: Path) -> None:
    def peak_bytes(batches: int) -> int:
        noise = random_images(64, 32, 32, 3)
        stream = (ImageBatch(64 * turn, noise, np.arange(64)) for turn in range(batches))
        tracemalloc.start()
        write_shard(tmp_path, 0, stream, META)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    peak_bytes(1)  # imports
    # What remains of an image is its row: far less than the 3 KB of its pixels.
    assert peak_bytes(24) - peak_bytes(4) < 20 * 64 * 500


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (image_batch(4, 2), "needs image 3 next, got 4"),
        (image_batch(2, 2), "needs image 3 next, got 2"),
        (image_batch(3, 2, side=9), "began with images of shape"),
        (image_batch(3, 2, labelled=False), "all or none labelled"),
    ],
    ids=["gap", "overlap", "shape", "labels"],
)
def test_a_batch_that_does_not_follow_is_refused_and_nothing_stays(
    tmp_path: Path, second: ImageBatch, message: str
) -> None:
    with pytest.raises(StorageError, match=message):
        write_shard(tmp_path, 0, [image_batch(0, 3), second], META)
    assert names(tmp_path) == []


def test_too_few_images_are_no_shard(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="must hold 5 images, 3 came"):
        write_shard(tmp_path, 0, [image_batch(0, 3)], META, expected_count=5)
    with pytest.raises(StorageError, match="is empty"):
        write_shard(tmp_path, 0, [], META)
    assert names(tmp_path) == []


@pytest.mark.parametrize("seeds", [np.arange(2), np.zeros((3, 1), np.int64), np.zeros(3), np.zeros(3, np.uint64)])
def test_seeds_that_do_not_fit_the_images_are_refused(seeds: npt.NDArray[Any]) -> None:
    with pytest.raises(StorageError, match="3 images came with seeds"):
        ImageBatch(0, random_images(3, 4, 4, 1), seeds)


def test_a_generator_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def batches() -> Iterator[ImageBatch]:
        yield image_batch(0, 3)
        raise RuntimeError("the device is gone")

    with pytest.raises(RuntimeError, match="device is gone"):
        write_shard(tmp_path, 0, batches(), META)
    assert names(tmp_path) == []


def test_a_full_disk_leaves_nothing(tmp_path: Path, file_size_limit: SizeLimit) -> None:
    with file_size_limit(50_000), pytest.raises(DiskFull, match=r"shard-000000\.tar"):
        write_shard(tmp_path, 0, (image_batch(64 * turn, 64) for turn in range(9)), META)
    assert names(tmp_path) == []


def test_a_disk_that_fills_up_at_the_table_leaves_no_marker(tmp_path: Path, file_size_limit: SizeLimit) -> None:
    write_shard(tmp_path, 0, [image_batch(0, 20)], META)
    tar_bytes = (tmp_path / "shard-000000.tar").stat().st_size
    with ShardWriter(tmp_path, 0, META) as writer:
        writer.add(image_batch(0, 20))
        with file_size_limit(1000), pytest.raises(DiskFull):
            writer.commit()
    # The archive's last blocks were still to be written; the shard of the earlier attempt is no longer vouched for.
    assert (tmp_path / "shard-000000.tar").stat().st_size == tar_bytes
    assert names(tmp_path) == ["shard-000000.parquet", "shard-000000.tar"]
    with pytest.raises(CorruptFile, match="marker is missing"):
        read_marker(tmp_path, 0)


def test_a_writer_killed_in_mid_shard_leaves_no_name_and_the_next_attempt_gives_the_same_bytes(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED_WRITER, tmp_path / "run"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"half\n"
        writer.send_signal(signal.SIGKILL)
    assert list((tmp_path / "run").glob("shard-*")) == []
    assert find_markers(tmp_path / "run") == []
    redone = write_shard(tmp_path / "run", 0, [image_batch(0, 60)], META)
    assert redone == write_shard(tmp_path / "undisturbed", 0, [image_batch(0, 60)], META)


def test_whole_markers_are_found_in_order(tmp_path: Path) -> None:
    for number, first_index in ((10, 3), (2, 0)):
        write_shard(tmp_path, number, [image_batch(first_index, 3)], META)
    (tmp_path / "shard-000003.json").write_text("{")
    assert [marker.record.number for marker in find_markers(tmp_path)] == [2, 10]


@pytest.mark.parametrize(
    ("old", "new"),
    [('"fp32"', '"bf16"'), ('"version": 1\n', '"version": 9\n'), ('"count": 3', '"count": 4'), ("{", "[")],
)
def test_a_changed_marker_is_refused(tmp_path: Path, old: str, new: str) -> None:
    write_shard(tmp_path, 0, [image_batch(0, 3)], META)
    path = tmp_path / "shard-000000.json"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(CorruptFile, match=r"shard-000000\.json"):
        read_marker(tmp_path, 0)


def test_timings_may_differ_without_breaking_the_marker(tmp_path: Path) -> None:
    write_shard(tmp_path, 0, [image_batch(0, 3)], META)
    path = tmp_path / "shard-000000.json"
    value = json.loads(path.read_text(encoding="utf-8"))
    value["timings"] = {"total_seconds": 99.0}
    before = read_marker(tmp_path, 0)
    path.write_text(json.dumps(value), encoding="utf-8")
    assert read_marker(tmp_path, 0) == before


def test_a_marker_of_another_shard_is_refused(tmp_path: Path) -> None:
    write_shard(tmp_path, 0, [image_batch(0, 3)], META)
    (tmp_path / "shard-000000.json").rename(tmp_path / "shard-000001.json")
    with pytest.raises(CorruptFile, match="belongs to shard 0"):
        read_marker(tmp_path, 1)


def test_damage_is_found_while_reading(tmp_path: Path) -> None:
    write_shard(tmp_path, 0, [image_batch(0, 3)], META)
    row = read_rows(tmp_path, 0)[1]
    path = tmp_path / "shard-000000.tar"
    content = bytearray(path.read_bytes())
    content[row.offset + row.size // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptFile, match=r"shard-000000\.tar: image 1 has changed"):
        read_images(tmp_path, 0)
    path.write_bytes(content[: row.offset])
    with pytest.raises(CorruptFile, match="the archive has"):
        read_images(tmp_path, 0, start=1)
    path.unlink()
    with pytest.raises(CorruptFile, match="is missing"):
        read_images(tmp_path, 0)


def test_a_table_that_is_none_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    write_shard(tmp_path, 0, [image_batch(0, 3)], META)
    path = tmp_path / "shard-000000.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CorruptFile, match="no readable Parquet file"):
        read_rows(tmp_path, 0)
    pq.write_table(pa.table({"index": [1]}), path)
    with pytest.raises(CorruptFile, match="other columns"):
        read_rows(tmp_path, 0)
    path.unlink()
    with pytest.raises(CorruptFile, match="is missing"):
        read_rows(tmp_path, 0)


def test_importing_shards_does_not_import_parquet_or_pillow() -> None:
    code = "import sys, storage.shards; print([name for name in ('pyarrow', 'PIL', 'torch') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "[]\n"


def test_what_was_done_to_each_image_stands_in_its_row(tmp_path: Path) -> None:
    edits = [Edit(7), Edit(7, target="dog", strength=-0.5), Edit(7, other=9, strength=1.0)]
    plain = image_batch(0, 3)
    batch = ImageBatch(0, plain.images, plain.seeds, plain.labels, edits)
    meta = dataclasses.replace(META, edit={"way": "attribute", "images_each": 3})
    for number in (0, 1):
        write_shard(tmp_path, number, [batch], meta)
    assert [row.edit for row in read_rows(tmp_path, 0)] == edits
    assert json.loads(read_metadata(tmp_path / "shard-000000.parquet")["edit"]) == meta.edit
    assert read_marker(tmp_path, 0).meta == meta
    assert (tmp_path / "shard-000000.parquet").read_bytes() == (tmp_path / "shard-000001.parquet").read_bytes()
    write_shard(tmp_path, 2, [plain], META)
    assert {row.edit for row in read_rows(tmp_path, 2)} == {None}
    with pytest.raises(StorageError, match="3 images came with 2 edits"):
        ImageBatch(0, plain.images, plain.seeds, plain.labels, edits[:2])
