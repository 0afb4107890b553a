import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixmill.errors import CorruptFile, UserError
from storage.records import MAX_SHARD_BYTES, ShardRange, ShardRecord, default_shard_size, shard_plan

DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64)
NATURAL = st.integers(0, 2**53)
RECORDS = st.builds(ShardRecord, NATURAL, NATURAL, NATURAL, DIGESTS, NATURAL, DIGESTS, NATURAL)
RECORD = ShardRecord(3, 30, 10, "a" * 64, 10_240, "b" * 64, 900)


@given(RECORDS)
def test_a_record_survives_json(record: ShardRecord) -> None:
    assert ShardRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


@pytest.mark.parametrize(
    "change",
    [
        {"tar": "../../etc/passwd"},
        {"version": 2},
        {"count": -1},
        {"count": "10"},
        {"number": True},
        {"tar_sha256": "A" * 64},
        {"parquet_sha256": None},
        {"surprise": 1},
    ],
    ids=str,
)
def test_anything_but_a_record_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(CorruptFile):
        ShardRecord.from_json(RECORD.to_json() | change)


def test_an_incomplete_record_is_refused() -> None:
    with pytest.raises(CorruptFile):
        ShardRecord.from_json({"version": 1, "number": 3})


def test_file_names_follow_from_the_number() -> None:
    assert (RECORD.tar, RECORD.parquet, RECORD.marker) == (
        "shard-000003.tar",
        "shard-000003.parquet",
        "shard-000003.json",
    )


@given(st.integers(0, 5000), st.integers(1, 700))
def test_a_plan_covers_every_image_once_and_only_the_last_shard_is_short(count: int, shard_size: int) -> None:
    plan = shard_plan(count, shard_size)
    assert [index for part in plan for index in range(part.first_index, part.first_index + part.count)] == list(
        range(count)
    )
    assert [part.number for part in plan] == list(range(len(plan)))
    assert all(part.count == shard_size for part in plan[:-1])
    assert all(part.count > 0 for part in plan)


def test_the_last_shard_holds_the_rest() -> None:
    assert shard_plan(25, 10)[-1] == ShardRange(number=2, first_index=20, count=5)


@pytest.mark.parametrize(("count", "shard_size"), [(-1, 10), (10, 0)])
def test_a_plan_that_makes_no_sense_is_refused(count: int, shard_size: int) -> None:
    with pytest.raises(UserError, match="cannot cut"):
        shard_plan(count, shard_size)


def test_the_default_shard_has_ten_thousand_images_or_256_megabytes() -> None:
    assert default_shard_size(28, 1) == default_shard_size(64, 3) == 10_000
    assert (
        default_shard_size(256, 3) * 256 * 256 * 3 <= MAX_SHARD_BYTES < (default_shard_size(256, 3) + 1) * 256 * 256 * 3
    )
    assert default_shard_size(20_000, 3) == 1
