from db.ends import attempt_ends, event_ends, own_results, task_ends, task_sums
from db.engine import Database
from db.jobs import NewTask
from db.leases import finish
from db.tables.jobs import Outcome, Role
from pixmill.states import FailureReason
from tests import rows
from tests.rows import act


def add_wide(database: Database, count: int) -> int:
    generate = [NewTask(role=Role.GENERATE, params={}) for _ in range(count)]
    assemble = NewTask(role=Role.ASSEMBLE, params={}, after=tuple(range(count)))
    job: int = rows.add(
        database, kind="generate", name="wide", tasks=[*generate, assemble], progress_total=count, retries=2
    )
    return job


def test_of_many_tasks_the_first_and_the_last_are_read(database: Database) -> None:
    job = add_wide(database, 29)
    with database.read() as session:
        some, all_of_them = task_ends(session, job, 12), task_ends(session, job, None)
        assert [task.number for task in some.first] == [0, 1, 2, 3, 4, 5]
        assert [task.number for task in some.last] == [24, 25, 26, 27, 28, 29]
        assert (some.count, some.left_out) == (30, 18)
        assert [task.number for task in all_of_them.first] == [*range(30)]
        assert (all_of_them.last, all_of_them.left_out) == ((), 0)
        assert task_ends(session, job, 29).left_out == 0  # one row is no longer than the line that leaves it out
        assert [number for _event, number in event_ends(session, job, 12).first] == [None]  # the submit
        assert own_results(session, job) == [{}]


def test_sums_and_attempts_are_those_of_all_tasks(database: Database) -> None:
    job = add_wide(database, 3)
    worker = rows.add_worker(database)
    rows.queue(database)
    lease = rows.claimed(database, worker)
    act(database, finish, lease, Outcome.FAILED, reason=FailureReason.ERROR, message="no luck")
    with database.read() as session:
        sums = task_sums(session, job)
        assert (sums.tasks, sums.failures, sums.most_used, sums.retries) == (4, 1, 1, 2)
        ((attempt, task, found),) = attempt_ends(session, job, 12).first
        assert (attempt.task_id, task.number, found.id) == (lease.task_id, 0, worker.id)
