"""Arrays with a limit: never more of their jobs at once than they may, and nothing waits in vain."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import distinct, func, select, update
from sqlalchemy.orm import Session

from db.arrays import element_id, element_ids, find_array_by_key, get_array, set_array_limit
from db.claims import claim
from db.control import cancel_job, hold_job, release_job, requeue_job, set_job, top_job
from db.dispatch import queue_ready_tasks
from db.engine import Database
from db.handfuls import claim_alike
from db.lanes import Slot, array_loads
from db.leases import Lease, finish, give_back
from db.tables.fleet import DeviceKind, Worker
from db.tables.jobs import Array, Event, Job, Outcome, Role, Task
from pixmill.errors import NotFound
from pixmill.states import State
from tests import rows
from tests.databases import somebody_waits
from tests.rows import act
from tests.waiting import wait_until

CPU = Slot(DeviceKind.CPU)


def jobs_in_order(database: Database, count: int = 100) -> list[int]:
    return [rows.task(database, wake_up.task_id).job_id for wake_up in rows.queue(database, count)]


def workers(database: Database, count: int) -> list[Worker]:
    return [rows.add_worker(database, host=f"h{number}") for number in range(count)]


def active(database: Database, array_id: int) -> int:
    with database.read() as session:
        return array_loads(session, [array_id])[array_id].active


def limit(database: Database, array_id: int, most: int | None) -> None:
    act(database, set_array_limit, array_id, most, actor="ann")


def test_an_array_has_the_id_of_its_first_job_and_finds_its_jobs_by_index(database: Database) -> None:
    rows.add(database)
    first, second, third = rows.add_array(database, (3, 5, 9), limit=2, key="night")
    with database.read() as session:
        array = get_array(session, first)
        assert (array.id, array.size, array.max_running, array.name) == (2, 3, 2, "line")
        assert element_ids(session, first) == {3: first, 5: second, 9: third}
        assert element_id(session, first, 5) == second
        assert find_array_by_key(session, "night") is array
        with pytest.raises(NotFound, match="array 2 has no element 4") as error:
            element_id(session, first, 4)
        assert "it has 3,5,9" in str(error.value.hint)
        with pytest.raises(NotFound, match="no array 3") as error:
            get_array(session, second)
        assert error.value.hint == "job 3 is element 5 of array 2"
        with pytest.raises(NotFound, match="no array 99"):
            get_array(session, 99)
    assert rows.job(database, second).title == "line[5]"


def test_the_scheduler_calls_no_more_than_the_array_may_run(database: Database) -> None:
    jobs = rows.add_array(database, range(6), limit=2)
    other = rows.add(database)
    assert jobs_in_order(database, 3) == [*jobs[:2], other]
    assert jobs_in_order(database) == []
    lease = rows.claimed(database, rows.add_worker(database))
    assert jobs_in_order(database) == []
    act(database, finish, lease, Outcome.SUCCEEDED)
    assert jobs_in_order(database) == [jobs[2]]


def test_workers_that_help_themselves_keep_to_the_limit(database: Database) -> None:
    jobs = rows.add_array(database, range(5), limit=2)
    other = rows.add(database)
    leases = [rows.try_claim(database, worker) for worker in workers(database, 4)]
    assert [lease and lease.job_id for lease in leases] == [*jobs[:2], other, None]
    assert leases[1] is not None
    act(database, finish, leases[1], Outcome.FAILED)
    assert rows.claimed(database, rows.add_worker(database)).job_id == jobs[2]


def test_what_was_called_has_its_place_before_what_helps_itself(database: Database) -> None:
    jobs = rows.add_array(database, range(3), limit=1)
    (wake_up,) = rows.queue(database)
    free, called = workers(database, 2)
    assert rows.claimed(database, free).job_id == jobs[0], "it takes what was called, whoever was"
    assert rows.try_claim(database, called, (wake_up.task_id, wake_up.dispatch_seq)) is None


def test_a_job_that_goes_on_needs_no_room(database: Database) -> None:
    jobs = rows.add_array(database, range(3), limit=1, tasks=rows.CHAIN)
    leases = [rows.try_claim(database, worker) for worker in workers(database, 3)]
    assert [lease and lease.job_id for lease in leases] == [jobs[0], jobs[0], None]
    for lease in leases[:2]:
        assert lease is not None
        act(database, finish, lease, Outcome.SUCCEEDED, publish=rows.nothing)
    assert jobs_in_order(database) == [jobs[0]], "the rest of the first goes before all that has not begun"
    assembled = rows.claimed(database, rows.add_worker(database))
    act(database, finish, assembled, Outcome.SUCCEEDED, publish=rows.nothing)
    assert jobs_in_order(database) == [jobs[1], jobs[1]]


def test_what_waits_again_gives_up_its_place_and_is_the_first_to_get_one(database: Database) -> None:
    jobs = rows.add_array(database, range(3), limit=1)
    worker = rows.add_worker(database)
    lease = rows.claimed(database, worker)
    act(database, give_back, lease)
    later = datetime.now(UTC) + timedelta(hours=1)
    with database.write() as session:  # as after a failure
        session.execute(update(Task).where(Task.job_id == jobs[0]).values(available_at=later))
    second = rows.claimed(database, worker)
    assert second.job_id == jobs[1]
    act(database, finish, second, Outcome.SUCCEEDED)
    with database.write() as session:
        session.execute(update(Task).where(Task.job_id == jobs[0]).values(available_at=None))
    assert rows.claimed(database, worker).job_id == jobs[0]


def test_held_and_cancelled_jobs_take_no_place(database: Database) -> None:
    jobs = rows.add_array(database, range(5), limit=2)
    act(database, hold_job, jobs[0], actor="ann")
    act(database, cancel_job, jobs[1], actor="ann")
    assert jobs_in_order(database) == jobs[2:4]
    act(database, release_job, jobs[0], actor="ann")
    assert jobs_in_order(database) == []
    act(database, cancel_job, jobs[2], actor="ann")
    assert jobs_in_order(database) == [jobs[0]]


def test_a_job_that_was_held_midway_waits_for_a_place_when_it_is_released(database: Database) -> None:
    jobs = rows.add_array(database, range(2), limit=1, tasks=rows.TWO_TASKS)
    first, second = (rows.claimed(database, worker) for worker in workers(database, 2))
    act(database, finish, first, Outcome.SUCCEEDED, publish=rows.nothing)
    act(database, requeue_job, jobs[0], hold=True, actor="ann")
    act(database, give_back, second)
    assert rows.job(database, jobs[0]).state is State.HELD
    other = rows.claimed(database, rows.add_worker(database))
    assert other.job_id == jobs[1]
    act(database, release_job, jobs[0], actor="ann")
    assert rows.job(database, jobs[0]).state is State.RUNNING, "between two of its tasks"
    assert [lease.job_id for lease in claims(database, 3)] == [jobs[1]], "no job begins a task beside it"
    assert active(database, jobs[0]) == 1


def claims(database: Database, count: int) -> list[Lease]:
    found = [rows.try_claim(database, worker) for worker in workers(database, count)]
    return [lease for lease in found if lease is not None]


def test_full_arrays_keep_nobody_else_waiting(database: Database) -> None:
    full = [rows.add_array(database, range(4), limit=1) for _ in range(3)]
    assert jobs_in_order(database) == [jobs[0] for jobs in full]
    behind, urgent = rows.add(database), rows.add(database, priority=5)
    assert jobs_in_order(database, 2) == [urgent, behind]


def test_lanes_and_the_line_are_merged_by_rank(database: Database) -> None:
    early = rows.add(database)
    jobs = rows.add_array(database, range(3), limit=2)
    late = rows.add(database)
    act(database, set_job, jobs[2], priority=7, actor="ann")
    act(database, top_job, late, actor="ann")
    assert jobs_in_order(database, 4) == [late, jobs[2], early, jobs[0]]


def test_a_handful_takes_no_task_of_a_limited_array(database: Database) -> None:
    rows.add_array(database, range(3), limit=2)
    worker = rows.add_worker(database)
    assert len(act(database, claim_alike, worker, Role.TRAIN, 10, rows.folder)) == 1
    unlimited = rows.add_array(database, range(3))
    act(database, claim_alike, worker, Role.TRAIN, 10, rows.folder)
    taken = act(database, claim_alike, worker, Role.TRAIN, 10, rows.folder)
    assert [lease.job_id for lease in taken] == unlimited


def test_a_limit_is_raised_lowered_lifted_and_set(database: Database) -> None:
    jobs = rows.add_array(database, range(8), limit=1)
    assert jobs_in_order(database) == jobs[:1]
    limit(database, jobs[0], 3)
    assert jobs_in_order(database) == jobs[1:3]
    running = rows.claimed(database, rows.add_worker(database))
    limit(database, jobs[0], 1)
    assert [rows.job(database, job).state for job in jobs[:3]] == [State.RUNNING, State.PENDING, State.PENDING]
    assert rows.try_claim(database, rows.add_worker(database)) is None
    limit(database, jobs[0], None)
    assert jobs_in_order(database) == jobs[1:]
    limit(database, jobs[0], 2)
    assert active(database, jobs[0]) == 2
    assert running.job_id == jobs[0]
    with database.read() as session:
        told = session.scalars(select(Event.detail).where(Event.action == "set_array").order_by(Event.id)).all()
        assert told[:2] == [f"array {jobs[0]}: max_running 3", f"array {jobs[0]}: max_running 1"]
        assert session.get_one(Array, jobs[0]).max_running == 2


def test_a_wake_up_of_before_does_not_pass_a_lower_limit(database: Database) -> None:
    jobs = rows.add_array(database, range(3), limit=3)
    wake_ups = rows.queue(database)
    first = rows.claimed(database, rows.add_worker(database))
    with database.write() as session:  # as if the calls had crossed the order
        session.get_one(Array, jobs[0]).max_running = 1
    late = rows.add_worker(database, host="there")
    assert rows.try_claim(database, late, (wake_ups[1].task_id, wake_ups[1].dispatch_seq)) is None
    act(database, finish, first, Outcome.SUCCEEDED)
    assert rows.claimed(database, late).job_id == jobs[1]


def test_an_element_moved_to_another_queue_keeps_the_limit(database: Database) -> None:
    jobs = rows.add_array(database, range(3), limit=1)
    act(database, set_job, jobs[2], queue="other", actor="ann")
    assert len(jobs_in_order(database)) == 1
    assert jobs_in_order(database) == []


@pytest.mark.parametrize("first_comes", ["a worker", "a scheduler"])
@pytest.mark.parametrize("then_comes", ["a worker", "a scheduler"])
def test_who_comes_second_waits_and_finds_the_place_taken(
    database: Database, first_comes: str, then_comes: str
) -> None:
    """The place is taken by what has not been committed yet, which the second one cannot see before it has waited."""
    jobs = rows.add_array(database, range(2), limit=1)
    with database.write() as session:  # each begins with another job: else the lock of that job would do
        session.execute(update(Task).where(Task.job_id == jobs[0]).values(device_kind=DeviceKind.CUDA))
        session.execute(update(Task).where(Task.job_id == jobs[1]).values(device_kind=DeviceKind.CPU))
    takers = {kind: rows.add_worker(database, kind) for kind in DeviceKind}

    def take(session: Session, kind: DeviceKind, who: str) -> bool:
        """Whether a job begins."""
        if who == "a worker":
            return claim(session, takers[kind], None, rows.folder) is not None
        return bool(queue_ready_tasks(session, Slot(kind), 2))

    with ThreadPoolExecutor(1) as pool:
        with database.write() as session:
            assert take(session, DeviceKind.CUDA, first_comes)
            session.flush()
            second = pool.submit(act, database, take, DeviceKind.CPU, then_comes)
            wait_until(lambda: database.is_sqlite or second.done() or somebody_waits(database))
        assert not second.result(timeout=30)
    assert active(database, jobs[0]) == 1


def test_schedulers_and_workers_at_once_never_run_more_than_may(database: Database) -> None:
    """Each claim counts in its own transaction what runs; what was claimed is held while the schedulers look again."""
    most, elements = 3, 7
    jobs = rows.add_array(database, range(elements), limit=most, tasks=rows.TWO_TASKS)
    others = [rows.add(database) for _ in range(2)]
    seen: list[int] = []
    looks: list[int] = []

    def work(worker: Worker) -> int:
        done = 0
        while not all_have_ended(database, [*jobs, *others]):
            lease = database.transact(partial(claimed_and_counted, worker=worker, seen=seen, array_id=jobs[0]))
            if lease is not None:
                wait_until(partial(may_end, looks, len(looks) + 3, seen, most), timeout=30)
                act(database, finish, lease, Outcome.SUCCEEDED, publish=rows.nothing)
                done += 1
        return done

    def schedule() -> int:
        while not all_have_ended(database, [*jobs, *others]):
            looks.append(len(act(database, queue_ready_tasks, CPU, 6)))
        return 0

    done = rows.run_all(*(partial(work, worker) for worker in workers(database, 5)), schedule, schedule)
    assert sum(done) == elements * len(rows.TWO_TASKS) + len(others)
    assert max(seen) == most, "never more, and as many as may"


def may_end(looks: list[int], to: int, seen: list[int], most: int) -> bool:
    """Whether the schedulers have looked so often, and as many jobs as may have run side by side."""
    return len(looks) >= to and max(seen) >= most


def claimed_and_counted(session: Session, *, worker: Worker, seen: list[int], array_id: int) -> Lease | None:
    lease = claim(session, worker, None, rows.folder)
    running = select(func.count(distinct(Task.job_id))).where(Task.limited_by == array_id, Task.state == State.RUNNING)
    seen.append(session.scalar(running) or 0)
    return lease


def all_have_ended(database: Database, job_ids: list[int]) -> bool:
    with database.read() as session:
        going_on = select(func.count()).where(Job.id.in_(job_ids), Job.state != State.SUCCEEDED)
        return session.scalar(going_on) == 0
