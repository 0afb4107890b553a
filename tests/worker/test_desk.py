import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.checkpoints import SavedFile
from tests.worker.desks import Listener
from worker.device.desk import StopRequested


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    made = Listener(tmp_path)
    yield made
    made.close()


def test_progress_that_comes_too_soon_is_dropped(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 10.1, 10.4, 10.5, 10.6])
    monkeypatch.setattr("worker.device.desk.time.monotonic", lambda: next(clock))
    for done in range(5):
        listener.desk.progress("training", done, 100)
    assert [message["done"] for message in listener.heard()] == [0, 3]


def test_a_new_phase_is_told_at_once(listener: Listener) -> None:
    for phase in ("reading", "training", "exporting"):
        listener.desk.progress(phase, 1, 100)
        listener.desk.progress(phase, 2, 100)
    assert [message["phase"] for message in listener.heard()] == ["reading", "training", "exporting"]


def test_the_end_is_told_at_once(listener: Listener) -> None:
    listener.desk.progress("training", 99, 100)
    listener.desk.progress("training", 100, 100, rate=12.5)
    last = listener.heard()[-1]
    assert last == {
        "say": "progress",
        "phase": "training",
        "done": 100,
        "total": 100,
        "unit": "images",
        "rate": 12.5,
    }


def test_long_work_can_be_stopped_where_it_reports(listener: Listener) -> None:
    listener.desk.measuring("reading", 0.5)
    listener.stop.set()
    assert listener.desk.should_stop
    with pytest.raises(StopRequested):
        listener.desk.measuring("reading", 0.6)
    with pytest.raises(StopRequested):
        listener.desk.check_stop()


def test_a_checkpoint_is_told_with_its_hash(listener: Listener) -> None:
    listener.desk.publish_checkpoint("last", SavedFile("runs/1/2/3/state.pt", "ab" * 32, 123), 640, None)
    (message,) = listener.heard()
    assert message == {
        "say": "checkpoint",
        "kind": "last",
        "path": "runs/1/2/3/state.pt",
        "sha256": "ab" * 32,
        "size_bytes": 123,
        "images_seen": 640,
        "metric": None,
    }


def test_files_go_into_the_folder_of_the_attempt(listener: Listener, tmp_path: Path) -> None:
    path = listener.desk.write_json("result.json", {"images": 3})
    assert path == tmp_path / "runs/1/2/3/result.json"
    assert json.loads(path.read_text()) == {"images": 3}


def test_a_result_that_is_no_json_is_refused(listener: Listener) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        listener.desk.write_json("result.json", {"loss": float("inf")})
