"""What a line of real processes logs: one event a line, each told once, and whatever a job does by its trace."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from client.logs import LogReader, log_sources
from db.control import release_job
from pixmill.states import State
from pixmill.traces import trace_id
from tests.worker.conftest import small_train
from tests.worker.line import Line

TRACE_PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def events(line: Line, name: str) -> list[dict[str, Any]]:
    return [json.loads(text) for text in line.log(name).splitlines()]


def fail(line: Line, pictures: Path) -> int:
    """A job whose data set is gone when it begins."""
    job = line.submit(small_train(dataset=f"folder:{pictures}"), hold=True)
    shutil.rmtree(pictures)
    line.database.transact(lambda session: release_job(session, job, actor="tester"))
    assert line.wait(job) is State.FAILED
    return job


def test_every_line_is_an_event_and_those_of_a_job_carry_its_trace(
    sqlite_line: Line, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACEPARENT", TRACE_PARENT)
    job = fail(sqlite_line, pictures)
    told = events(sqlite_line, "worker")
    assert all({"time", "level", "logger", "message", "host", "pid"} <= set(event) for event in told)
    mine = [event for event in told if event.get("job") == job]
    assert {event["trace"] for event in mine} == {trace_id(TRACE_PARENT)}
    parent = [event for event in mine if event["logger"].startswith("worker.parent")]
    device = [event for event in mine if event["logger"] == "job"]
    assert parent[0]["message"] == "claimed"
    assert any(event["message"].startswith("failed: ") for event in device)
    (task,) = sqlite_line.tasks(job)
    assert {(event["task"], event["epoch"]) for event in mine} == {(task.id, task.lease_epoch)}
    assert {event["pid"] for event in parent} & {event["pid"] for event in device} == set()
    assert all(event["worker"].endswith(":cpu") and event["device"] == "cpu" for event in parent)
    counted = Counter((event["pid"], event["logger"], event["message"]) for event in mine)
    assert set(counted.values()) == {1}, "no event is told twice"
    assert all("scheduler" in event["logger"] for event in events(sqlite_line, "scheduler"))
    assert "INFO" in sqlite_line.job_log(job), "people read the log of a job"


@pytest.mark.long
def test_the_end_of_the_log_is_in_the_database_of_several_hosts(
    standing_postgresql: Line, pictures: Path, tmp_path: Path
) -> None:
    standing_postgresql.start()
    job = fail(standing_postgresql, pictures)
    database = standing_postgresql.database
    with database.read() as session:
        (source,) = log_sources(session, tmp_path / "of another host", job)
    lines = list(LogReader(database).new_lines(source))
    assert lines == standing_postgresql.job_log(job).splitlines()
    assert any("failed: " in text for text in lines)
