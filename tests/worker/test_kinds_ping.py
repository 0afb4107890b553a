import logging
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.storage.samples import publish
from tests.worker.desks import Listener
from worker.assignment import Assignment, ShardInput
from worker.device.attempt import spoils_device
from worker.device.desk import FETCHED, Desk
from worker.device.kinds import KINDS, Kind
from worker.device.warm import WarmModels
from worker.parent.device_process import DeviceProcess


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    made = Listener(tmp_path, role="ping", spec={"kind": "ping"})
    yield made
    made.close()


def test_a_ping_says_who_answers_and_writes_nothing(listener: Listener, tmp_path: Path) -> None:
    answer = listener.run().answer
    assert answer["say"] == "succeeded"
    assert (answer["result"]["device"], answer["result"]["pid"]) == ("cpu", os.getpid())
    assert 0 <= answer["result"]["seconds"] < 10
    assert list(tmp_path.iterdir()) == []
    assert listener.heard() == []


def test_what_cannot_be_cleared_away_is_logged_and_takes_no_result_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fetching(desk: Desk, _warm: WarmModels) -> dict[str, object]:
        assert desk.bucket is not None
        desk.folder.mkdir(parents=True)
        (desk.folder / FETCHED).write_text("a file where a folder was")
        return {"whole": True}

    monkeypatch.setitem(KINDS, "ping", Kind(fetching, has_files=False))
    shard = ShardInput(folder="s3://pictures/made/1/2/3", record=publish(tmp_path / "shards")[0].to_json())
    with closing(Listener(tmp_path, role="ping", spec={"kind": "ping"}, shards=(shard,))) as listener:
        assert listener.run().answer == {"say": "succeeded", "result": {"whole": True}}
    assert f"what was fetched from the bucket stays: cannot remove {listener.desk.folder}" in caplog.text


def test_a_kind_without_files_has_a_log_once_there_is_something_to_warn_of(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    def worried(desk: Desk, _warm: WarmModels) -> dict[str, object]:
        logging.getLogger("job").info("nothing to see here")
        assert not desk.folder.exists()
        logging.getLogger("job").warning("the device is hot")
        return {}

    monkeypatch.setitem(KINDS, "ping", Kind(worried, has_files=False))
    listener.run()
    assert listener.log().endswith("WARNING job the device is hot\n")
    assert "nothing" not in listener.log()
    assert [path.name for path in listener.desk.folder.iterdir()] == ["log.txt"]


def test_an_unknown_role_is_a_failure_of_the_attempt(tmp_path: Path) -> None:
    listener = Listener(tmp_path, role="juggle")
    answer = listener.run().answer
    assert (answer["say"], answer["reason"]) == ("failed", "Error")
    assert "KeyError: 'juggle'" in answer["message"]
    listener.close()


def test_a_device_process_answers_one_ping_after_the_other(tmp_path: Path) -> None:
    process = DeviceProcess("cpu", 1, tmp_path / "device.lock")
    process.wait_ready()
    for epoch in range(1, 4):
        process.run(assignment(tmp_path, epoch))
        answer = process.receive(30.0)
        assert answer is not None
        assert (answer["say"], answer["task_id"], answer["epoch"]) == ("succeeded", 2, epoch)
        assert "ends" not in answer
    process.close()
    assert process.ended_with == "ended with status 0"
    assert not (tmp_path / "runs").exists()


def test_a_cpu_goes_on_after_any_failure_and_cuda_only_after_an_expected_one() -> None:
    for surprise in (KeyError("width"), MemoryError(), RuntimeError("CUDA error: an illegal memory access")):
        assert spoils_device("cuda", surprise)
        assert not spoils_device("cpu", surprise)


def assignment(root: Path, epoch: int) -> Assignment:
    return Assignment(
        job_id=1,
        task_id=2,
        epoch=epoch,
        role="ping",
        job_name="ping",
        spec={"kind": "ping"},
        params={},
        folder=f"runs/1/2/{epoch}",
        storage_root=str(root),
        threads=1,
        checkpoint_seconds=30.0,
    )
