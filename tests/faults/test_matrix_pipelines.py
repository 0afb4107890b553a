"""Rows 3 and 22 of the fault matrix for pipelines: each step is begun once, wherever a scheduler dies."""

from typing import Any

import pytest

from pixmill.crashpoints import CRASHED, CrashPoint
from tests.faults.pipelining import POINTS, begin, finish, view
from tests.faults.rough import RoughLine
from tests.faults.test_matrix_files import armed
from tests.worker.conftest import digits_model

PING = {"kind": "ping"}


def test_row_03_a_run_of_which_everything_was_killed_goes_on_after_the_restart(rough_sqlite: RoughLine) -> None:
    line = rough_sqlite
    training = {**line.training().model_dump(mode="json", exclude_none=True), "name": "hurt"}
    run_id = begin(line, train=training, left={**PING, "after": ["train"]}, right={**PING, "after": ["left"]})
    line.wait_for(lambda: view(line, run_id).named("train").step.job_id, 1)
    train = view(line, run_id).named("train").step.job_id
    assert train is not None
    line.wait_for_training(train)
    for process in line.processes:
        process.kill()
    finish(line, run_id)
    assert line.task(train).lost_leases == 1
    assert view(line, run_id).named("train").step.values["model"].startswith("hurt@")


@pytest.mark.parametrize("point", POINTS)
def test_row_22_a_scheduler_that_dies_between_two_moves_begins_no_step_twice(
    rough_sqlite: RoughLine, point: CrashPoint
) -> None:
    line, statuses = rough_sqlite, len(rough_sqlite.statuses)
    model = digits_model(line) if point is CrashPoint.SCHEDULER_PROMOTED else None
    steps: dict[str, dict[str, Any]] = {"one": PING, "two": {**PING, "after": ["one"]}}
    if model is not None:  # what to promote it for is not judged here
        steps["gate"] = {"kind": "gate", "model": model, "when": "${one.state} == failed"}
        steps["two"] = {"kind": "promote", "model": model, "gate": "gate", "after_policy": "any"}
    with armed(line, point):
        run_id = begin(line, **steps, three={**PING, "after": ["two"]})
        finish(line, run_id)
    assert line.statuses[statuses:] == [CRASHED]


def test_row_22_a_page_whose_device_process_died_over_it_is_written_once_more(rough_sqlite: RoughLine) -> None:
    line = rough_sqlite
    with armed(line, CrashPoint.DEVICE_WROTE_RESULT):  # a ping writes no file
        run_id = begin(line, one=PING, page={"kind": "report"})
        finish(line, run_id)
    step = view(line, run_id).named("page").step
    page = line.path(step.values["page"])
    assert step.job_id is not None
    assert line.task(step.job_id).lost_leases == 1
    assert {path.name for path in page.parent.iterdir()} == {page.name, "latest.html"}
    assert f"pipeline run {run_id}" in page.with_name("latest.html").read_text(encoding="utf-8")
