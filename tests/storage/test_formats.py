import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pixmill.errors import CorruptFile, DiskFull, StorageError
from storage.atomic import sha256_file
from storage.encoders import ENCODER_NAMES, LOSSY_ENDINGS, PIXELS, decode, find_encoder, recorded_encoder
from storage.formats.table import FORMATS
from storage.outputs import link_shard, verify_output, write_dataset_index
from storage.png import Encoder
from storage.records import CONTAINERS, ShardRecord
from storage.shards import ImageBatch, read_images, read_marker, read_rows, read_shard, write_shard
from tests.storage.samples import META, SizeLimit, image_batch, leftover_files, random_images

OTHERS = sorted(FORMATS.keys() - {"webdataset"})
Write = Callable[..., ShardRecord]


def encoder_for(name: str) -> Encoder:
    return find_encoder(PIXELS if name == "raw" else None)


def written(folder: Path, name: str, *batches: ImageBatch, number: int = 0) -> ShardRecord:
    count = sum(len(batch) for batch in batches)
    return write_shard(folder, number, batches, META, format_name=name, encoder=encoder_for(name), expected_count=count)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ENCODER_NAMES)
def test_every_encoder_gives_files_that_depend_on_their_image_alone(name: str, channels: int) -> None:
    images, encoder = random_images(5, 9, 12, channels), find_encoder(name)
    files = encoder.encode(images)
    assert files[3:] == encoder.encode(images[3:])
    found = recorded_encoder(encoder.name)
    assert found is not None
    assert (found.name, found.version, found.encode(images)) == (encoder.name, encoder.version, files)
    decoded = np.stack([decode(file, encoder.ending, 9, 12, channels) for file in files])
    assert decoded.shape == images.shape
    if encoder.ending in LOSSY_ENDINGS:
        assert 0 < np.abs(decoded.astype(int) - images).mean() < 3
    else:
        np.testing.assert_array_equal(decoded, images)


def test_the_small_files_are_smaller_and_names_of_none_are_known(tmp_path: Path) -> None:
    gradient = np.broadcast_to(np.arange(64, dtype=np.uint8)[:, None, None], (1, 64, 64, 3)) // 3
    sizes = {name: len(find_encoder(name).encode(gradient)[0]) for name in ENCODER_NAMES}
    assert sizes["webp"] < sizes["png-small"] < sizes["png"] < sizes[PIXELS] == 64 * 64 * 3
    assert recorded_encoder("png-of-tomorrow") is None


@pytest.mark.parametrize(("ending", "height", "width"), [("webp", 8, 9), (PIXELS, 5, 5), ("jpg", 8, 8)])
def test_a_file_of_another_size_or_of_no_image_is_refused(ending: str, height: int, width: int) -> None:
    encoder = next(one for name in ENCODER_NAMES if (one := find_encoder(name)).ending == ending)
    (file,) = encoder.encode(random_images(1, 8, 8, 3))
    damaged = file[: len(file) // 3] if ending == "jpg" else file
    with pytest.raises(CorruptFile):
        decode(damaged, ending, height, width, 3)


@pytest.mark.parametrize("name", OTHERS)
def test_every_format_gives_back_images_labels_and_rows(tmp_path: Path, name: str) -> None:
    source = image_batch(40, 30 if name == "files" else 130)
    start = len(source.images) - 22
    record = written(tmp_path, name, source, number=4)
    assert (tmp_path / CONTAINERS[name].format(stem="shard-000004")).exists()
    assert leftover_files(tmp_path) == []
    images, labels = read_images(tmp_path, 4, start=start, count=20)
    np.testing.assert_array_equal(images, source.images[start : start + 20])
    assert source.labels is not None
    np.testing.assert_array_equal(labels, source.labels[start : start + 20])
    assert [row.index for row, _file in read_shard(tmp_path, 4)] == list(range(40, 40 + len(source)))
    assert ShardRecord.from_json(json.loads(json.dumps(record.to_json()))) == record
    assert read_marker(tmp_path, 4).record.format == name


@pytest.mark.parametrize("name", OTHERS)
def test_equal_images_give_equal_bytes_however_they_come(tmp_path: Path, name: str) -> None:
    more = 10 if name == "files" else 110  # than one group of rows
    whole = written(tmp_path / "a", name, image_batch(0, more + 3))
    parts = written(tmp_path / "b", name, image_batch(0, 1), image_batch(1, more), image_batch(more + 1, 2))
    again = written(tmp_path / "a", name, image_batch(0, more + 3))
    assert whole == parts == again
    for file in FORMATS[name].files(tmp_path / "a", whole):
        assert sha256_file(tmp_path / "a" / file.name) == sha256_file(tmp_path / "b" / file.name) == file.sha256


@pytest.mark.parametrize("name", OTHERS)
def test_a_linked_data_set_verifies_and_every_damage_is_found(tmp_path: Path, name: str) -> None:
    output, records = tmp_path / "output", []
    for number in range(2):
        batch = image_batch(6 * number, 6)
        records.append(written(tmp_path / f"attempt-{number}", name, batch, number=number))
        link_shard(records[-1], tmp_path / f"attempt-{number}", output)
    index = write_dataset_index(output, records, name="cats")
    assert index.images == 12
    report = verify_output(output, records)
    assert (report.problems, report.images) == ((), 12)

    (spoilt, *_rest) = FORMATS[name].files(output, records[1])
    path = output / spoilt.name
    content = bytearray(path.read_bytes())
    content[-20 if name == "raw" else 150] ^= 1
    path.unlink()  # the attempt's folder holds another link to the same bytes
    path.write_bytes(content)
    problems = verify_output(output, records).problems
    assert any("has changed: its SHA-256 is not the one" in problem for problem in problems)
    with pytest.raises(CorruptFile, match=r"image \d+ has changed"):
        list(read_shard(output, 1))
    link_shard(records[1], tmp_path / "attempt-1", output)
    assert verify_output(output, records).is_intact
    path.unlink()
    assert any("is missing" in problem for problem in verify_output(output, records).problems)


def test_files_lie_in_folders_of_their_classes_and_strangers_among_them_are_found(tmp_path: Path) -> None:
    record = written(tmp_path, "files", image_batch(0, 6))
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png"))
    assert names == [f"files/{META.class_names[n % 3]}/{n:09d}.png" for n in (0, 3, 1, 4, 2, 5)]
    (tmp_path / "files" / "cat" / "000000009.png").write_bytes(b"")
    (tmp_path / "files" / "dog" / "000000004.png").unlink()
    assert verify_output(tmp_path, [record]).problems == (
        "files/cat/000000009.png belongs to no recorded shard",
        "files: files/dog/000000004.png is missing",
    )


@pytest.mark.parametrize(
    "class_names", [("a/b", "c", "d"), ("..", "x", "y"), (".hidden", "b", "c"), ("é" * 200, "", "z")]
)
def test_class_names_that_name_no_folder_are_numbered(tmp_path: Path, class_names: tuple[str, ...]) -> None:
    meta = dataclasses.replace(META, class_names=class_names)
    record = write_shard(tmp_path, 0, [image_batch(0, 3)], meta, format_name="files")
    assert sorted(path.name for path in (tmp_path / "files").iterdir()) == ["class-0000", "class-0001", "class-0002"]
    assert verify_output(tmp_path, [record]).is_intact


def test_images_without_labels_lie_in_one_folder(tmp_path: Path) -> None:
    record = written(tmp_path, "files", image_batch(0, 2, labelled=False))
    assert sorted(path.name for path in (tmp_path / "files").iterdir()) == ["000000000.png", "000000001.png"]
    assert verify_output(tmp_path, [record]).is_intact


@pytest.mark.parametrize("name", OTHERS)
def test_a_full_disk_leaves_nothing_of_any_format(tmp_path: Path, name: str, file_size_limit: SizeLimit) -> None:
    large = ImageBatch(0, random_images(4, 80, 80, 3), np.arange(4))
    with file_size_limit(5_000), pytest.raises(DiskFull):
        written(tmp_path, name, large)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_block_must_know_its_number_of_images(tmp_path: Path) -> None:
    pixels = find_encoder(PIXELS)
    with pytest.raises(StorageError, match="begins with the number of its images"):
        write_shard(tmp_path, 0, [image_batch(0, 3)], META, format_name="raw", encoder=pixels)
    with pytest.raises(StorageError, match="must hold 4 images, 3 came"):
        write_shard(tmp_path, 0, [image_batch(0, 3)], META, format_name="raw", encoder=pixels, expected_count=4)
    assert list(tmp_path.iterdir()) == []


def test_a_record_of_an_unknown_format_is_refused(tmp_path: Path) -> None:
    record = written(tmp_path, "raw", image_batch(0, 3)).to_json()
    for change in ({"format": "zip"}, {"ending": "../../x"}, {"format": "webdataset"}, {"ending": "png"}):
        with pytest.raises(CorruptFile, match="no shard record"):
            ShardRecord.from_json(record | change)
    assert [row.size for row in read_rows(tmp_path, 0)] == [8 * 8 * 3] * 3
