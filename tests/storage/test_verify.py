import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pixmill.errors import CorruptFile
from storage.atomic import sha256_file
from storage.manifest import read_manifest
from storage.outputs import verify_output, write_dataset_index
from storage.png import ENCODER, Encoder, Images
from storage.records import ShardRecord
from storage.shards import read_rows, write_shard
from storage.verify import VerifyReport
from tests.storage.samples import META, image_batch, publish

Published = tuple[Path, list[ShardRecord]]


@pytest.fixture
def published(tmp_path: Path) -> Published:
    return tmp_path, publish(tmp_path)


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def rewrite_table(folder: Path, record: ShardRecord, change: Callable[[Any], Any]) -> ShardRecord:
    """Replace the table by one with other rows, and return the record that fits it."""
    import pyarrow.parquet as pq

    path = folder / record.parquet
    table = change(pq.read_table(path))
    pq.write_table(table, path)
    return replace(record, parquet_sha256=sha256_file(path), parquet_bytes=path.stat().st_size)


def without_marker_problems(report: VerifyReport) -> list[str]:
    return [problem for problem in report.problems if ".json" not in problem]


def test_an_intact_data_set_has_no_problems_and_progress_reaches_the_end(published: Published) -> None:
    folder, records = published
    write_dataset_index(folder, records, name="cats")
    seen: list[tuple[int, int]] = []
    report = verify_output(folder, records, lambda done, total: seen.append((done, total)))
    assert report.is_intact
    assert (report.images, report.shards) == (25, 3)
    assert seen[-1] == (25, 25)


def test_a_flipped_bit_in_an_image_names_the_archive_and_the_image(published: Published) -> None:
    folder, records = published
    row = read_rows(folder, 1)[4]
    flip(folder / records[1].tar, row.offset + row.size - 20)
    report = verify_output(folder, records)
    assert report.problems == (
        "shard-000001.tar has changed: its SHA-256 is not the one recorded",
        "shard-000001.tar: image 14 has changed: its SHA-256 is not the one in the table",
    )
    assert report.images == 25


def test_a_flipped_bit_in_a_member_header_is_found(published: Published) -> None:
    folder, records = published
    flip(folder / records[0].tar, read_rows(folder, 0)[2].offset - 512)
    problems = verify_output(folder, records).problems
    assert problems[1:] == ("shard-000000.tar: image 2 has no fitting member header",)


def test_a_truncated_archive_lists_the_lost_images_in_one_line(published: Published) -> None:
    folder, records = published
    path = folder / records[0].tar
    path.write_bytes(path.read_bytes()[: read_rows(folder, 0)[7].offset + 3])
    problems = verify_output(folder, records).problems
    assert len(problems) == 2
    assert "recorded 20,480" in problems[0]
    assert problems[1] == "shard-000000.tar: images 7 to 9 are beyond the end of the archive"


def test_every_missing_file_is_named_and_the_search_goes_on(published: Published) -> None:
    folder, records = published
    (folder / records[0].tar).unlink()
    (folder / records[1].parquet).unlink()
    (folder / records[2].marker).unlink()
    problems = verify_output(folder, records).problems
    assert problems[:2] == ("shard-000000.tar is missing", "shard-000001.parquet is missing")
    assert len(problems) == 3
    assert "shard-000002.json: the marker is missing" in problems[2]


def test_a_damaged_table_is_named(published: Published) -> None:
    folder, records = published
    flip(folder / records[0].parquet, records[0].parquet_bytes - 2)
    problems = verify_output(folder, records).problems
    assert problems[0] == "shard-000000.parquet has changed: its SHA-256 is not the one recorded"
    assert "no readable Parquet file" in problems[1]


def test_a_row_that_is_missing_and_one_that_is_double_are_found(published: Published) -> None:
    folder, records = published
    import pyarrow as pa

    records[0] = rewrite_table(
        folder, records[0], lambda table: pa.concat_tables([table.slice(0, 3), table.slice(5), table.slice(9)])
    )
    report = verify_output(folder, records)
    assert without_marker_problems(report) == [
        "shard-000000.parquet: images 3 to 4 are missing from the table",
        "shard-000000.parquet: image 9 is in the table more than once",
    ]
    assert any("describes other bytes" in problem for problem in report.problems)


def test_a_row_of_another_shard_is_found(published: Published) -> None:
    folder, records = published
    import pyarrow as pa
    import pyarrow.parquet as pq

    foreign = pq.read_table(folder / records[1].parquet).slice(0, 1)
    records[0] = rewrite_table(folder, records[0], lambda table: pa.concat_tables([table, foreign]))
    problems = without_marker_problems(verify_output(folder, records))
    assert "shard-000000.parquet: image 10 is in the table of a shard that does not hold them" in problems


def test_an_image_that_cannot_be_decoded_is_found_though_all_hashes_fit(tmp_path: Path) -> None:
    def broken(images: Images) -> list[bytes]:
        files = ENCODER.encode(images)
        return [files[0][:-30] + bytes(30), *files[1:]]

    record = write_shard(tmp_path, 0, [image_batch(0, 3)], META, encoder=Encoder("broken", "1", broken))
    assert hashlib.sha256((tmp_path / record.tar).read_bytes()).hexdigest() == record.tar_sha256
    problems = verify_output(tmp_path, [record]).problems
    assert len(problems) == 1
    assert problems[0].startswith("shard-000000.tar: image 0: the PNG cannot be decoded")


def test_gaps_and_overlaps_between_shards_are_found(published: Published) -> None:
    folder, records = published
    assert verify_output(folder, [records[0], records[2]]).problems == (
        "shard 2 follows where shard 1 belongs",
        "shard 2 begins at image 20, expected 10",
        "shard-000001.json belongs to no recorded shard",
        "shard-000001.parquet belongs to no recorded shard",
        "shard-000001.tar belongs to no recorded shard",
    )


def test_records_that_differ_from_the_disk_are_found(published: Published) -> None:
    folder, records = published
    other = replace(records[1], tar_sha256="0" * 64)
    problems = verify_output(folder, [records[0], other, records[2]]).problems
    assert problems == (
        "shard-000001.tar has changed: its SHA-256 is not the one recorded",
        "shard-000001.json describes other bytes than those recorded",
    )


def test_an_index_of_other_shards_is_found(published: Published) -> None:
    folder, records = published
    write_dataset_index(folder, records[:2], name="cats")
    assert "dataset.json lists other shards than those recorded" in verify_output(folder, records).problems
    (folder / "dataset.json").write_text("{}", encoding="utf-8")
    assert any("no pixmill-dataset index" in problem for problem in verify_output(folder, records).problems)


def test_an_empty_folder_reports_each_shard(tmp_path: Path) -> None:
    record = ShardRecord(0, 0, 10, "a" * 64, 10, "b" * 64, 10)
    report = verify_output(tmp_path, [record])
    assert report.images == 0
    assert len(report.problems) == 3
    with pytest.raises(CorruptFile):
        read_manifest(tmp_path / record.parquet)
