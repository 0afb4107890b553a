import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixmill.datasets import DATASET_KEY, DatasetReference, PinnedDataset

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", fullmatch=True)
fingerprints = st.text("0123456789abcdef", min_size=64, max_size=64)


@given(names, fingerprints, st.none() | st.integers(8, 64))
def test_a_name_with_or_without_digits_of_its_fingerprint_is_read(name: str, digits: str, length: int | None) -> None:
    text = name if length is None else f"{name}@{digits[:length]}"
    assert DatasetReference.parse(text) == DatasetReference(name=name, pin=None if length is None else digits[:length])


@pytest.mark.parametrize(
    "text",
    ["", "folder:/a", "a b", "a@", "a@1a2b3c4", "a@xyzxyzxyz", "../a", "a\n", "@1a2b3c4d", "a@12345678@12345678"],
)
def test_what_is_no_name_is_none(text: str) -> None:
    assert DatasetReference.parse(text) is None


@given(names, fingerprints)
def test_what_a_task_is_given_goes_through_json_unchanged(name: str, digits: str) -> None:
    pinned = PinnedDataset(
        name=name, source="tar:/a", image_size=8, channels=1, on_bad_image="fail", images=3, content_fingerprint=digits
    )
    params = json.loads(json.dumps({DATASET_KEY: pinned.model_dump(mode="json")}))
    assert PinnedDataset.of_task(params) == pinned
    assert DatasetReference.parse(pinned.reference) == DatasetReference(name=name, pin=digits[:12])
    assert PinnedDataset.of_task({"first_shard": 0}) is None
