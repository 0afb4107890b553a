import sqlite3

import pytest
from sqlalchemy import event, insert, update

from db.control import cancel_job
from db.engine import Database
from db.leases import finish, heartbeat, publish_shard
from db.listing import JobFilter, JobLine, job_line, job_lines, list_jobs
from db.tables.jobs import Job, Outcome, Queue, Role, Task
from db.views import job_attempts, job_evaluation, list_outputs, list_queues
from pixmill.errors import NotFound
from pixmill.states import State
from tests import rows
from tests.rows import act

EVERYTHING = JobFilter()


def listed(
    database: Database, chosen: JobFilter = EVERYTHING, limit: int | None = None, recent: int | None = None
) -> list[int]:
    with database.read() as session:
        return [line.job.id for line in list_jobs(session, chosen, limit, recent)]


def line(database: Database, job_id: int) -> JobLine:
    with database.read() as session:
        return job_line(session, job_id)


def ended(database: Database) -> int:
    lease = rows.running(database)
    act(database, finish, lease, Outcome.SUCCEEDED)
    return lease.job_id


def test_jobs_are_listed_oldest_first_and_the_limit_keeps_the_newest(database: Database) -> None:
    jobs = [rows.add(database) for _ in range(4)]
    assert listed(database) == jobs
    assert listed(database, limit=2) == jobs[2:]


def test_recent_keeps_all_unfinished_and_the_last_finished(database: Database) -> None:
    done = [ended(database) for _ in range(3)]
    waiting = [rows.add(database) for _ in range(2)]
    assert listed(database, recent=1) == [done[2], *waiting]
    assert listed(database, recent=0) == waiting
    assert listed(database, recent=1, limit=2) == waiting


def test_filters_are_all_to_be_met(database: Database) -> None:
    plain = rows.add(database)
    nightly = rows.add(database, labels={"when": "night", "owner": "ann"}, kind="generate")
    held = rows.add(database, labels={"when": "night"}, hold=True)
    assert listed(database, JobFilter(labels={"when": "night"})) == [nightly, held]
    assert listed(database, JobFilter(labels={"when": "night", "owner": "ann"})) == [nightly]
    assert listed(database, JobFilter(states=(State.HELD, State.RUNNING))) == [held]
    assert listed(database, JobFilter(kinds=("train",), states=(State.PENDING,))) == [plain]
    assert listed(database, JobFilter(ids=(plain, held, 999))) == [plain, held]
    assert listed(database, JobFilter(labels={"when": "noon"})) == []


@pytest.mark.parametrize("key", ["with space", "dotted.key", "größe", "per%cent", "it's", "$", "[0]", "1"])
def test_a_label_of_any_name_can_be_asked_for(database: Database, key: str) -> None:
    rows.add(database, labels={"other": "x"})
    job_id = rows.add(database, labels={key: "x"})
    assert listed(database, JobFilter(labels={key: "x"})) == [job_id]


def test_a_line_adds_up_the_tasks_and_names_the_devices(database: Database) -> None:
    lease = rows.running(database, kind="generate", tasks=rows.CHAIN)
    other = rows.claimed(database, rows.add_worker(database, host="there"))
    act(database, heartbeat, lease, {"rate": 5}, 30)
    act(database, heartbeat, other, {"rate": 7}, 10)
    shown = line(database, lease.job_id)
    assert (shown.done, shown.tasks, shown.tasks_done) == (40, 3, 0)
    assert shown.devices == ("here:cpu", "there:cpu")
    assert shown.progress == {"rate": 7}
    act(database, finish, lease, Outcome.SUCCEEDED, done=50)
    shown = line(database, lease.job_id)
    assert (shown.done, shown.tasks_done, shown.devices) == (60, 1, ("there:cpu",))


def test_a_line_names_the_jobs_that_it_still_waits_for(database: Database) -> None:
    done, first, second = ended(database), rows.add(database), rows.add(database)
    child = rows.add(database, parents={done: False, second: False, first: True})
    assert line(database, child).waits_for == (first, second)
    act(database, cancel_job, first, actor="ann")
    assert line(database, child).waits_for == (second,)


def test_an_unknown_job_has_no_line(database: Database) -> None:
    with pytest.raises(NotFound):
        line(database, 999)


def test_lines_come_in_the_order_of_the_ids(database: Database) -> None:
    first, second, third = (rows.add(database) for _ in range(3))
    with database.read() as session:
        assert [line.job.id for line in job_lines(session, [third, first, second])] == [third, first, second]
        assert job_lines(session, []) == []
        for unknown in (99, 2**70):
            with pytest.raises(NotFound, match=f"there is no job {unknown}"):
                job_lines(session, [first, unknown])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_more_jobs_are_listed_than_a_statement_takes_values(database: Database) -> None:
    # The limit of 32,766 is lowered, so that fewer jobs reach it.
    event.listen(database.engine, "connect", lambda raw, _: raw.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 5200))
    count = 5500
    with database.write() as session:
        session.add(Queue(name="default"))
        session.flush()
        common = {"kind": "train", "name": "n", "state": State.PENDING, "queue": "default", "priority": 0, "spec": {}}
        common |= {"spec_digest": "", "options": {}, "labels": {}, "user_name": "a", "progress_total": 1}
        session.execute(insert(Job), [common | {"id": number} for number in range(1, count + 1)])
        task = {"number": 0, "role": Role.TRAIN, "params": {}, "state": State.PENDING, "queue": "default"}
        task |= {"priority": 0, "progress": {}, "user_name": "a", "rank": 0}
        session.execute(insert(Task), [task | {"job_id": number} for number in range(1, count + 1)])
    with database.read() as session:
        lines = list_jobs(session, EVERYTHING, None)
    assert [shown.job.id for shown in lines] == list(range(1, count + 1))


def test_attempts_are_listed_with_their_tasks_and_workers(database: Database) -> None:
    lease = rows.running(database)
    with database.read() as session:
        ((attempt, task, worker),) = job_attempts(session, lease.job_id)
    assert (attempt.folder, task.id, worker.name) == (lease.folder, lease.task_id, "here:cpu")


def test_outputs_are_the_generate_jobs_with_shards(database: Database) -> None:
    rows.add(database, kind="generate")
    lease = rows.running(database, kind="generate", priority=5)
    for number in range(3):
        act(database, publish_shard, lease, rows.shard(lease, number))
    with database.read() as session:
        (output,) = list_outputs(session)
    assert (output.job.id, output.shards, output.images, output.size_bytes) == (lease.job_id, 3, 300, 3000)


def test_queues_count_their_unfinished_jobs_by_state(database: Database) -> None:
    for name, hold in (("b", False), ("b", False), ("b", True), ("a", False)):
        rows.add(database, queue=name, hold=hold)
    cancelled = rows.add(database, queue="empty")
    act(database, cancel_job, cancelled, actor="ann")
    with database.write() as session:
        session.execute(update(Queue).where(Queue.name == "a").values(paused=True, paused_reason="night"))
    with database.read() as session:
        lines = {shown.queue.name: shown for shown in list_queues(session)}
    assert list(lines) == ["a", "b", "empty"]
    assert lines["b"].jobs == {State.PENDING: 2, State.HELD: 1}
    assert lines["empty"].jobs == {}
    assert (lines["a"].queue.paused, lines["a"].queue.paused_reason) == (True, "night")


def test_a_job_without_an_evaluation_has_none(database: Database) -> None:
    with database.read() as session:
        assert job_evaluation(session, 1) is None
