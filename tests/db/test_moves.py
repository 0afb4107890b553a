from functools import partial

import pytest
from sqlalchemy import func, select

from db.engine import Database
from db.moves import Moved, lock_job, move_task, settle_job
from db.tables.jobs import Event, Task
from db.views import job_events
from pixmill.errors import InvalidMove, NotFound
from pixmill.states import ALLOWED_MOVES, State
from tests import rows

S = State


def put(database: Database, task_id: int, state: State) -> None:
    """Bring a task to any state, past all rules."""
    with database.write() as session:
        task = session.get_one(Task, task_id)
        task.state = state
        session.flush()
        settle_job(session, lock_job(session, task.job_id), actor="test")


def move(database: Database, task_id: int, source: State, target: State) -> Moved | None:
    with database.write() as session:
        job = lock_job(session, session.get_one(Task, task_id).job_id)
        moved = move_task(session, task_id, source, target, actor="ann", action="try", detail="why not")
        settle_job(session, job, actor="ann")
        return moved


def test_every_allowed_move_moves_task_and_job_and_leaves_an_event(database: Database) -> None:
    job_id = rows.add(database)
    (task,) = rows.tasks(database, job_id)
    for source, targets in ALLOWED_MOVES.items():
        for target in sorted(targets):
            put(database, task.id, source)
            assert move(database, task.id, source, target) is not None
            assert rows.states(database, job_id) == [target]
            assert rows.job(database, job_id).state is target
            with database.read() as session:
                last = [event for event in job_events(session, job_id) if event.task_id == task.id][-1]
            assert (last.from_state, last.to_state, last.actor, last.detail) == (source, target, "ann", "why not")


def test_no_refused_move_changes_anything(database: Database) -> None:
    job_id = rows.add(database)
    (task,) = rows.tasks(database, job_id)
    for source, targets in ALLOWED_MOVES.items():
        put(database, task.id, source)
        for target in sorted(set(State) - targets):
            with pytest.raises(InvalidMove, match=f"task {task.id} cannot go from {source} to {target}"):
                move(database, task.id, source, target)
            assert rows.states(database, job_id) == [source]


def test_a_move_from_a_state_that_the_task_has_left_does_nothing(database: Database) -> None:
    job_id = rows.add(database)
    (task,) = rows.tasks(database, job_id)
    with database.read() as session:
        before = session.scalar(select(func.count()).select_from(Event))
    assert move(database, task.id, S.QUEUED, S.RUNNING) is None
    assert rows.states(database, job_id) == [S.PENDING]
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Event)) == before


def test_an_ended_task_knows_when_it_ended(database: Database) -> None:
    job_id = rows.add(database)
    (task,) = rows.tasks(database, job_id)
    move(database, task.id, S.PENDING, S.CANCELLED)
    (task,) = rows.tasks(database, job_id)
    job = rows.job(database, job_id)
    assert task.finished_at is not None
    assert job.finished_at is not None
    assert job.finished_at >= task.finished_at


def test_a_failed_task_stops_the_waiting_ones_and_asks_the_running_ones_to_stop(database: Database) -> None:
    job_id = rows.add(database, tasks=rows.TWO_TASKS * 2)
    first, second, third, fourth = (task.id for task in rows.tasks(database, job_id))
    for task_id, state in ((first, S.RUNNING), (second, S.RUNNING), (third, S.QUEUED)):
        put(database, task_id, state)
    move(database, first, S.RUNNING, S.FAILED)
    assert rows.states(database, job_id) == [S.FAILED, S.RUNNING, S.CANCELLED, S.CANCELLED]
    job = rows.job(database, job_id)
    assert (job.state, job.cancel_requested) == (S.RUNNING, True)
    assert fourth
    move(database, second, S.RUNNING, S.CANCELLED)
    assert rows.job(database, job_id).state is S.FAILED


def test_a_job_shows_the_reason_of_the_task_that_failed_first(database: Database) -> None:
    job_id = rows.add(database, tasks=rows.TWO_TASKS)
    tasks = [task.id for task in rows.tasks(database, job_id)]
    for task_id in tasks:
        put(database, task_id, S.RUNNING)
    for task_id, reason in zip(reversed(tasks), ("first", "second"), strict=True):
        with database.write() as session:
            job = lock_job(session, job_id)
            values = {"reason": reason, "message": f"the {reason} one"}
            move_task(session, task_id, S.RUNNING, S.FAILED, actor="w", action="failed", values=values)
            settle_job(session, job, actor="w")
    row = rows.job(database, job_id)
    assert (row.state, row.reason, row.message) == (S.FAILED, "first", "the first one")


def test_two_tasks_that_end_at_once_end_their_job(database: Database) -> None:
    job_id = rows.add(database, tasks=rows.TWO_TASKS)
    tasks = [task.id for task in rows.tasks(database, job_id)]
    for task_id in tasks:
        put(database, task_id, S.RUNNING)
    rows.run_all(*[partial(move, database, task_id, S.RUNNING, S.SUCCEEDED) for task_id in tasks])
    assert rows.job(database, job_id).state is S.SUCCEEDED


def test_the_lock_tells_whether_there_is_more_to_look_at_when_a_task_ends(database: Database) -> None:
    alone, parent = rows.add(database), rows.add(database)
    rows.add(database, parents={parent: True})
    chain = rows.add(database, tasks=rows.CHAIN)
    with database.write() as session:
        locked = [lock_job(session, job_id) for job_id in (alone, parent, chain)]
    assert [(job.has_one_task, job.is_waited_for) for job in locked] == [(True, False), (True, True), (False, True)]


@pytest.mark.parametrize("job_id", [999, 2**63, 10**30])
def test_a_job_that_is_not_there_is_not_found(database: Database, job_id: int) -> None:
    with pytest.raises(NotFound, match=f"there is no job {job_id}"), database.write() as session:
        lock_job(session, job_id)
