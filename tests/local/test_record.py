import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from cli.local.processes import ProcessMark
from cli.local.record import ChildRecord, UpRecord
from storage.atomic import write_json

words = st.text(st.characters(codec="utf-8"))
marks = st.builds(ProcessMark, pid=st.integers(1, 2**22), start_ticks=st.integers(0, 2**63))
children = st.builds(
    ChildRecord,
    name=words,
    role=st.sampled_from(["server", "scheduler", "worker"]),
    log=words,
    mark=st.none() | marks,
    exits=st.integers(0),
    last_exit=st.none() | words,
)
records = st.builds(
    UpRecord,
    supervisor=marks,
    host=words,
    version=words,
    started_at=words,
    devices=st.lists(words).map(tuple),
    children=st.lists(children).map(tuple),
    format=st.just(1),
)
EXAMPLE = UpRecord(
    supervisor=ProcessMark(1, 2), host="here", version="0.1.0", started_at="", devices=("cpu",), children=()
)


@given(record=records)
@settings(max_examples=25)
def test_a_record_survives_the_file(record: UpRecord) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "up.json"
        record.write(path)
        assert UpRecord.read(path) == record


def test_no_file_is_no_record(tmp_path: Path) -> None:
    assert UpRecord.read(tmp_path / "up.json") is None


def test_a_record_of_another_format_is_not_misread(tmp_path: Path) -> None:
    write_json(tmp_path / "up.json", {"format": 99, "children": "many"})
    assert UpRecord.read(tmp_path / "up.json") is None


def test_pids_of_another_host_are_not_taken_for_ours() -> None:
    assert not replace(EXAMPLE, host="elsewhere.example").is_of_this_host
