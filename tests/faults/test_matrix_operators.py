"""Row 28 of the fault matrix: jobs that wait for a job that fails, is cancelled, or is retried."""

import shutil
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from db.control import cancel_job, retry_job
from db.dispatch import fail_doomed_jobs
from db.engine import Database
from db.leases import finish
from db.tables.fleet import DeviceKind
from db.tables.jobs import Outcome
from pixmill.errors import Conflict
from pixmill.specs import PingSpec
from pixmill.states import FailureReason, State
from tests import rows
from tests.faults.checker import check_history
from tests.faults.history import read_history
from tests.faults.rough import NO_WORK, RoughLine
from tests.rows import act


@pytest.mark.parametrize("ending", [Outcome.FAILED, Outcome.CANCELLED, Outcome.SUCCEEDED])
def test_row_28_children_follow_their_policy_and_never_start_early(database: Database, ending: Outcome) -> None:
    lease = rows.running(database, **NO_WORK)
    needs, follows = (
        rows.add(database, parents={lease.job_id: any_outcome}, **NO_WORK) for any_outcome in (False, True)
    )
    grandchild = rows.add(database, parents={needs: False}, **NO_WORK)
    worker = rows.add_worker(database, DeviceKind.CPU, host="there")
    assert rows.queue(database) == []
    assert rows.try_claim(database, worker) is None  # a free worker that asks by itself gets no child, either
    act(database, finish, lease, ending, reason=FailureReason.USER_ERROR if ending is Outcome.FAILED else None)
    while act(database, fail_doomed_jobs):
        pass
    started = {wake_up.task_id for wake_up in rows.queue(database)}
    expected = {follows, needs} if ending is Outcome.SUCCEEDED else {follows}
    assert started == {rows.tasks(database, job)[0].id for job in expected}
    doomed = State.QUEUED if ending is Outcome.SUCCEEDED else State.FAILED
    assert rows.job(database, needs).state is doomed
    assert rows.job(database, grandchild).state is (State.PENDING if ending is Outcome.SUCCEEDED else State.FAILED)
    assert check_history(read_history(database)) == []


def test_row_28_a_retried_parent_lets_its_children_be_retried_in_their_order(
    rough_line: RoughLine, tmp_path: Path
) -> None:
    line, pictures, hidden = rough_line, tmp_path / "pictures", tmp_path / "hidden"
    shutil.copytree(line.pictures, pictures)
    spec = line.training(images=64).model_copy(update={"dataset": f"folder:{pictures}"})
    parent = line.submit(spec, hold=True)
    child = line.submit(PingSpec(), after=[parent])
    grandchild = line.submit(PingSpec(), after=[child])
    follower = line.submit(PingSpec(), after=[parent], after_policy="any")
    shutil.move(pictures, hidden)
    line.release(parent)
    line.wait_for_all([parent, child, grandchild, follower])
    assert [line.job(job).state for job in (parent, child, grandchild)] == [State.FAILED] * 3
    assert [line.job(job).reason for job in (child, grandchild)] == [FailureReason.DEPENDENCY] * 2
    assert line.job(follower).state is State.SUCCEEDED
    with pytest.raises(Conflict, match=f"waits for job {parent}"):
        retry(line, child)
    shutil.move(hidden, pictures)
    for job in (parent, child, grandchild):
        retry(line, job)
    line.wait_for_all([parent, child, grandchild])
    assert [line.job(job).state for job in (parent, child, grandchild)] == [State.SUCCEEDED] * 3, line.story(parent)
    in_turn = [line.attempts(job)[-1] for job in (parent, child, grandchild)]
    assert all(str(first.finished_at) <= str(then.started_at) for first, then in pairwise(in_turn))


def test_row_28_a_child_of_a_cancelled_parent_fails_and_can_follow_its_retry(rough_line: RoughLine) -> None:
    line = rough_line
    parent = line.submit(PingSpec(), hold=True)
    child = line.submit(PingSpec(), after=[parent])
    line.database.transact(partial(cancel_job, job_id=parent, actor="tester"))
    line.wait_for_all([parent, child])
    assert [line.job(job).state for job in (parent, child)] == [State.CANCELLED, State.FAILED]
    retry(line, parent)
    retry(line, child)
    line.wait_for_all([parent, child])
    assert [line.job(job).state for job in (parent, child)] == [State.SUCCEEDED, State.SUCCEEDED]


def retry(line: RoughLine, job_id: int) -> None:
    line.database.transact(partial(retry_job, job_id=job_id, actor="tester"))
