import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.assignment import Assignment, DataInput, ModelInput, ShardInput, StartInput, StoredFile

TEXTS = st.text(max_size=20)
COUNTS = st.integers(0, 2**63 - 1)
OBJECTS = st.dictionaries(TEXTS, st.none() | st.booleans() | COUNTS | TEXTS | st.lists(COUNTS, max_size=3), max_size=4)
FILES = st.builds(StoredFile, path=TEXTS, sha256=TEXTS, size_bytes=COUNTS)
MODELS = st.builds(
    ModelInput,
    reference=TEXTS,
    folder=TEXTS,
    digest=TEXTS,
    image_size=COUNTS,
    channels=COUNTS,
    classes=st.lists(TEXTS, max_size=3).map(tuple),
    dataset=TEXTS,
    dataset_fingerprint=TEXTS,
)
STARTS = st.builds(StartInput, classes=st.lists(TEXTS, max_size=3).map(tuple), state=FILES)
DATA = st.builds(DataInput, description=OBJECTS, summary=st.none() | OBJECTS, traces=st.none() | FILES)
ASSIGNMENTS = st.builds(
    Assignment,
    job_id=COUNTS,
    task_id=COUNTS,
    epoch=COUNTS,
    role=st.sampled_from(["train", "generate", "assemble", "evaluate"]),
    job_name=TEXTS,
    spec=OBJECTS,
    params=OBJECTS,
    folder=TEXTS,
    storage_root=TEXTS,
    threads=COUNTS,
    checkpoint_seconds=st.floats(0, 1e9),
    checkpoints=st.lists(FILES, max_size=3).map(tuple),
    model=st.none() | MODELS,
    judge=st.none() | MODELS,
    shards=st.lists(st.builds(ShardInput, folder=TEXTS, record=OBJECTS), max_size=3).map(tuple),
    start=st.none() | STARTS,
    before=st.none() | DATA,
    version=st.just(1),
)


@given(ASSIGNMENTS)
def test_an_assignment_survives_the_line(assignment: Assignment) -> None:
    assert Assignment.from_json(json.loads(json.dumps(assignment.to_json()))) == assignment


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_an_assignment_of_another_version_is_refused(version: Any) -> None:
    with pytest.raises(ValueError, match="this process reads 1"):
        Assignment.from_json({"version": version})
