"""The life of leases as a random walk, checked against a model and against the whole history after every step."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, select, update

from db.control import cancel_job, hold_job, release_job, requeue_job, retry_job
from db.dispatch import Sighting, expire_lease, fail_doomed_jobs, queued_tasks, sight_running, unqueue
from db.engine import open_database
from db.handfuls import Success, claim_alike, succeed_all
from db.leases import Lease, finish, give_back, heartbeat, lose, publish_shard
from db.tables.all import Table
from db.tables.jobs import Attempt, Event, Job, JobDependency, Outcome, Role, Task
from db.tables.published import Shard
from pixmill.errors import Conflict, InvalidMove, LeaseLost
from pixmill.settings import load_settings
from pixmill.states import ALLOWED_MOVES, TERMINAL, FailureReason, State, job_state
from scheduler.reaper import StillnessWatch
from tests import rows
from tests.rows import act

LIMIT = 3  # lost leases
LEASE = 30.0  # seconds of the virtual clock
JOBS = 4
WORKERS = 2
choices = st.integers(0, 10**6)


class LeaseMachine(RuleBasedStateMachine):
    """Workers that claim, work and die; a scheduler that queues and reaps; people who change their minds.

    Time is virtual: the reaper's clock is a number, and back-offs come nearer by as much as it grows.
    """

    url: ClassVar[str]
    home: ClassVar[Path]

    @initialize()
    def start(self) -> None:
        self.database = open_database(load_settings(flags={"home": self.home, "database.url": self.url}))
        with self.database.write() as session:
            for table in reversed(Table.metadata.sorted_tables):
                session.execute(delete(table))
        self.workers = [rows.add_worker(self.database, host=f"host{number}") for number in range(WORKERS)]
        self.jobs: list[int] = []
        self.leases: list[Lease] = []  # every lease ever given, also those of the dead
        self.holder: dict[int, int] = {}  # task id → the epoch that holds it, as the model has it
        self.ended: dict[int, State] = {}  # task id → the terminal state first seen
        self.epochs: dict[int, int] = {}
        self.shards: dict[tuple[int, int], int] = {}  # (job, number) → the epoch that published it first
        self.at = 0.0  # the virtual clock
        self.reaper: StillnessWatch[int, Sighting] = StillnessWatch(LEASE, clock=lambda: self.at)
        self.alive_at: dict[int, float] = {}  # task id → when its holder last wrote
        self.waiting: dict[State, list[int]] = {}  # state → task ids, as the last look at the database found them
        for shape in (rows.ONE_TASK, rows.TWO_TASKS):
            self.submit(shape, hold=False, choice=1)
        self.dispatch(2)

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.dispose()

    @precondition(lambda self: len(self.jobs) < JOBS)
    @rule(shape=st.sampled_from([rows.ONE_TASK, rows.TWO_TASKS, rows.CHAIN]), hold=st.booleans(), choice=choices)
    def submit(self, shape: Any, hold: bool, choice: int) -> None:
        parents = {self.jobs[choice % len(self.jobs)]: choice % 2 == 0} if self.jobs and choice % 3 == 0 else {}
        more = {"hold": hold, "parents": parents, "retries": choice % 3, "retry_seconds": 20.0}
        self.jobs.append(rows.add(self.database, kind="generate", tasks=shape, **more))

    @precondition(lambda self: self.waiting.get(State.PENDING))
    @rule(count=st.integers(1, 3))
    def dispatch(self, count: int) -> None:
        act(self.database, fail_doomed_jobs)
        rows.queue(self.database, count)

    @precondition(lambda self: self.waiting.get(State.QUEUED))
    @rule(choice=choices, stale=st.booleans())
    def claim(self, choice: int, stale: bool) -> None:
        queued = self.waiting[State.QUEUED]
        task_id = queued[choice % len(queued)]
        hint = (task_id, rows.task(self.database, task_id).dispatch_seq - stale)
        lease = rows.try_claim(self.database, self.workers[choice % WORKERS], hint)
        if lease is not None:
            self.take(lease)

    @rule(choice=choices)
    def help_itself(self, choice: int) -> None:
        """A worker that has just ended a task takes the best that waits, without being woken."""
        lease = rows.try_claim(self.database, self.workers[choice % WORKERS])
        if lease is not None:
            self.take(lease)

    @rule(choice=choices, count=st.integers(2, 4), role=st.sampled_from([Role.TRAIN, Role.GENERATE]))
    def help_itself_to_a_handful(self, choice: int, count: int, role: Role) -> None:
        worker = self.workers[choice % WORKERS]
        for lease in act(self.database, claim_alike, worker, role, count, rows.folder):
            self.take(lease)

    def take(self, lease: Lease) -> None:
        assert lease.task_id not in self.holder, "two workers hold one task"
        self.holder[lease.task_id] = lease.epoch
        self.alive_at[lease.task_id] = self.at
        self.leases.append(lease)

    @contextmanager
    def fenced(self, lease: Lease, *, repeat_is_fine: bool = False) -> Iterator[None]:
        """What a lease writes must succeed exactly when the model says that it holds the task."""
        mine = self.holder.get(lease.task_id) == lease.epoch
        try:
            yield
        except LeaseLost:
            assert not mine, "the holder was refused"
        else:
            assert mine or repeat_is_fine, "a zombie was let in"

    def pick(self, choice: int) -> Lease:
        """Any lease, of the living or of the dead; of the living two times of three."""
        living = [lease for lease in self.leases if self.holder.get(lease.task_id) == lease.epoch]
        chosen = living if living and choice % 3 else self.leases
        return chosen[choice // 3 % len(chosen)]

    @precondition(lambda self: self.leases)
    @rule(choice=choices)
    def beat(self, choice: int) -> None:
        lease = self.pick(choice)
        with self.fenced(lease):
            act(self.database, heartbeat, lease, {"done": choice}, choice)
            self.alive_at[lease.task_id] = self.at

    @precondition(lambda self: self.leases)
    @rule(choice=choices, number=st.integers(0, 2))
    def publish(self, choice: int, number: int) -> None:
        lease = self.pick(choice)
        if self.holder.get(lease.task_id) == lease.epoch:
            self.shards.setdefault((lease.job_id, number), lease.epoch)
        with self.fenced(lease):
            act(self.database, publish_shard, lease, rows.shard(lease, number))
            self.alive_at[lease.task_id] = self.at

    @precondition(lambda self: self.leases)
    @rule(choice=choices, outcome=st.sampled_from([Outcome.SUCCEEDED, Outcome.FAILED, Outcome.CANCELLED]))
    def end(self, choice: int, outcome: Outcome) -> None:
        lease = self.pick(choice)
        repeat = self.outcome_of(lease) is outcome
        reason = FailureReason.ERROR if outcome is Outcome.FAILED and choice % 2 else None
        with self.fenced(lease, repeat_is_fine=repeat):
            act(self.database, finish, lease, outcome, reason=reason, publish=rows.nothing)
        self.release_hold(lease)

    @precondition(lambda self: self.leases)
    @rule(picked=st.sets(choices, min_size=2, max_size=4), published=st.booleans())
    def end_together(self, picked: set[int], published: bool) -> None:
        leases = list({lease.task_id: lease for lease in map(self.pick, sorted(picked))}.values())
        brings: dict[str, Any] = {"publish": rows.nothing} if published else {"result": {}}
        ends = [Success(lease=lease, done=1, **brings) for lease in leases]
        held = all(self.holder.get(lease.task_id) == lease.epoch for lease in leases)
        repeated = published and all(
            self.holder.get(lease.task_id) == lease.epoch or self.outcome_of(lease) is Outcome.SUCCEEDED
            for lease in leases
        )
        try:
            act(self.database, succeed_all, ends)
        except LeaseLost:
            assert not held, "holders were refused"
        else:
            assert held or repeated or self.has_ended_before(leases), "a zombie was let in"
            for lease in leases:
                self.release_hold(lease)

    def has_ended_before(self, leases: list[Lease]) -> bool:
        """Whether all that is no longer held had succeeded, in a job of several tasks."""
        return all(
            self.holder.get(lease.task_id) == lease.epoch
            or (self.outcome_of(lease) is Outcome.SUCCEEDED and len(rows.tasks(self.database, lease.job_id)) > 1)
            for lease in leases
        )

    @precondition(lambda self: self.leases)
    @rule(choice=choices)
    def preempt(self, choice: int) -> None:
        lease = self.pick(choice)
        repeat = self.outcome_of(lease) in (Outcome.PREEMPTED, Outcome.CANCELLED)
        with self.fenced(lease, repeat_is_fine=repeat):
            act(self.database, give_back, lease)
        self.release_hold(lease)

    @precondition(lambda self: self.leases)
    @rule(choice=choices)
    def crash(self, choice: int) -> None:
        lease = self.pick(choice)
        repeat = self.outcome_of(lease) in (Outcome.LOST, Outcome.CANCELLED)
        with self.fenced(lease, repeat_is_fine=repeat):
            act(self.database, lose, lease, "signal 9", max_lost_leases=LIMIT)
        self.release_hold(lease)

    @precondition(lambda self: self.holder)
    @rule(choice=choices)
    def expire(self, choice: int) -> None:
        with self.database.read() as session:
            seen = sight_running(session)
        assert seen.keys() == self.holder.keys()
        task_id = list(seen)[choice % len(seen)]
        assert act(self.database, expire_lease, task_id, seen[task_id], max_lost_leases=LIMIT) is not None
        del self.holder[task_id]

    @precondition(lambda self: self.holder)
    @rule(choice=choices)
    def replace(self, choice: int) -> None:
        """A worker goes silent and another takes over, so that the first comes back to a task that runs."""
        self.expire(choice)
        self.dispatch(9)
        with self.database.read() as session:
            queued = session.scalars(
                select(Task.id).where(Task.state == State.QUEUED).order_by(Task.lease_epoch.desc())
            )
            self.waiting[State.QUEUED] = list(queued)
        if self.waiting[State.QUEUED]:
            self.claim(0, stale=False)
        for lease in self.leases:
            if self.holder.get(lease.task_id, lease.epoch) != lease.epoch:
                with self.fenced(lease):
                    act(self.database, heartbeat, lease, None, 0)

    @rule(seconds=st.sampled_from([1.0, 10.0, LEASE, 100.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.at += seconds
        with self.database.write() as session:
            for task in session.scalars(select(Task).where(Task.available_at.is_not(None))):
                earlier = task.available_at - timedelta(seconds=seconds) if task.available_at else None
                session.execute(update(Task).where(Task.id == task.id).values(available_at=earlier))

    @precondition(lambda self: self.holder)
    @rule(seconds=st.sampled_from([0.0, LEASE / 3, LEASE * 2 / 3, LEASE]))
    def reap(self, seconds: float) -> None:
        """Only who was silent for a whole lease, under the reaper's own eyes, loses its task."""
        self.look()
        for _ in range(3):
            self.let_time_pass(seconds / 3)
            self.look()

    def look(self) -> None:
        with self.database.read() as session:
            seen = self.reaper.update(sight_running(session))
        for task_id, sighting in seen.items():
            assert self.at - self.alive_at[task_id] >= LEASE, "a rescue of somebody who lives"
            if act(self.database, expire_lease, task_id, sighting, max_lost_leases=LIMIT) is not None:
                del self.holder[task_id]

    @rule()
    def lose_sight(self) -> None:
        """The scheduler starts again, or the database was away."""
        self.reaper.forget()

    @precondition(lambda self: len(self.jobs) == JOBS)
    @rule(choice=choices, force=st.booleans())
    def cancel(self, choice: int, force: bool) -> None:
        job_id = self.jobs[choice % len(self.jobs)]
        ended = rows.job(self.database, job_id).state in TERMINAL
        try:
            state = act(self.database, cancel_job, job_id, actor="ann", force=force)
        except InvalidMove:
            assert ended
        else:
            assert not ended
            if force:
                assert state in TERMINAL
                self.forget_holders(job_id)

    def forget_holders(self, job_id: int) -> None:
        for task in rows.tasks(self.database, job_id):
            self.holder.pop(task.id, None)

    @rule(choice=choices)
    def hold(self, choice: int) -> None:
        job_id = self.jobs[choice % len(self.jobs)]
        waits = {State.PENDING, State.QUEUED} & set(rows.states(self.database, job_id))
        try:
            act(self.database, hold_job, job_id, actor="ann")
        except InvalidMove:
            assert not waits
        else:
            assert waits

    @precondition(lambda self: self.holder)
    @rule(choice=choices, hold=st.booleans())
    def requeue(self, choice: int, hold: bool) -> None:
        """Ask for a stop; whether the worker obeys, dies or is faster is up to other rules."""
        job_id = self.jobs[choice % len(self.jobs)]
        job, runs = rows.job(self.database, job_id), State.RUNNING in rows.states(self.database, job_id)
        try:
            act(self.database, requeue_job, job_id, actor="ann", hold=hold)
        except InvalidMove:
            assert not runs or job.cancel_requested
        else:
            wanted = State.HELD if hold else State.PENDING
            running = [task for task in rows.tasks(self.database, job_id) if task.state is State.RUNNING]
            assert {task.stop_to for task in running} == {wanted}

    @precondition(lambda self: any(state in self.ended.values() for state in (State.FAILED, State.CANCELLED)))
    @rule(choice=choices)
    def retry(self, choice: int) -> None:
        job_id = self.jobs[choice % len(self.jobs)]
        state = rows.job(self.database, job_id).state
        try:
            act(self.database, retry_job, job_id, actor="ann")
        except Conflict:
            assert state not in (State.FAILED, State.CANCELLED) or self.has_a_failed_parent(job_id)
        else:
            assert state in (State.FAILED, State.CANCELLED)
            for task in rows.tasks(self.database, job_id):
                if task.state is not State.SUCCEEDED:
                    self.ended.pop(task.id, None)

    def has_a_failed_parent(self, job_id: int) -> bool:
        parents = select(JobDependency.parent_id).where(JobDependency.job_id == job_id, ~JobDependency.any_outcome)
        with self.database.read() as session:
            states = session.scalars(select(Job.state).where(Job.id.in_(parents))).all()
        return bool({State.FAILED, State.CANCELLED} & set(states))

    @precondition(lambda self: self.waiting.get(State.HELD))
    @rule(choice=choices)
    def let_go(self, choice: int) -> None:
        job_id = self.jobs[choice % len(self.jobs)]
        held = State.HELD in rows.states(self.database, job_id)
        try:
            act(self.database, release_job, job_id, actor="ann")
        except InvalidMove:
            assert not held
        else:
            assert held

    @precondition(lambda self: self.waiting.get(State.QUEUED))
    @rule(choice=choices)
    def take_back(self, choice: int) -> None:
        with self.database.read() as session:
            queued = queued_tasks(session)
        task = queued[choice % len(queued)]
        act(self.database, unqueue, task, "no worker is left")

    def outcome_of(self, lease: Lease) -> Outcome | None:
        with self.database.read() as session:
            mine = (Attempt.task_id == lease.task_id, Attempt.lease_epoch == lease.epoch)
            return session.scalar(select(Attempt.outcome).where(*mine))

    def release_hold(self, lease: Lease) -> None:
        if self.holder.get(lease.task_id) == lease.epoch:
            del self.holder[lease.task_id]

    @invariant()
    def history_holds(self) -> None:
        if not hasattr(self, "database"):
            return
        with self.database.read() as session:
            jobs = {job.id: job for job in session.scalars(select(Job))}
            tasks = list(session.scalars(select(Task)))
            events = list(session.scalars(select(Event).order_by(Event.id)))
            attempts = list(session.scalars(select(Attempt)))
            shards = list(session.scalars(select(Shard)))
        self.waiting = {state: [task.id for task in tasks if task.state is state] for state in State}
        for job_id, job in jobs.items():
            assert job.state is job_state(task.state for task in tasks if task.job_id == job_id)
            assert (job.finished_at is not None) == job.state.is_terminal
        for task in tasks:
            self.check_task(task, [event for event in events if event.task_id == task.id])
            self.check_attempts(task, [attempt for attempt in attempts if attempt.task_id == task.id])
        assert {(shard.job_id, shard.number): shard.lease_epoch for shard in shards} == self.shards

    def check_task(self, task: Task, events: list[Event]) -> None:
        assert (task.state is State.RUNNING) == (task.id in self.holder)
        assert self.holder.get(task.id, task.lease_epoch) == task.lease_epoch
        assert task.lease_epoch >= self.epochs.get(task.id, 0), "an epoch went back"
        self.epochs[task.id] = task.lease_epoch
        assert self.ended.setdefault(task.id, task.state) is task.state or not self.ended[task.id].is_terminal
        self.ended[task.id] = task.state
        assert (task.stop_to is None) or task.state is State.RUNNING
        for event in events:
            assert State(str(event.to_state)) in ALLOWED_MOVES[State(str(event.from_state))]
        for before, after in pairwise(events):
            assert before.to_state == after.from_state, "a move left no event"
        assert not events or events[-1].to_state == task.state
        assert sum(event.to_state == State.RUNNING for event in events) == task.lease_epoch

    def check_attempts(self, task: Task, attempts: list[Attempt]) -> None:
        assert sorted(attempt.lease_epoch for attempt in attempts) == list(range(1, task.lease_epoch + 1))
        open_epochs = [attempt.lease_epoch for attempt in attempts if attempt.outcome is None]
        assert open_epochs == ([self.holder[task.id]] if task.id in self.holder else [])
        outcomes = [attempt.outcome for attempt in attempts]
        assert outcomes.count(Outcome.SUCCEEDED) <= 1
        assert task.preemptions == outcomes.count(Outcome.PREEMPTED)
        assert task.failures == outcomes.count(Outcome.FAILED)
        assert task.lost_leases - task.excused_lost_leases <= LIMIT
        assert task.failures - task.excused_failures <= task.retries + 1


def walk(url: str, home: Path, examples: int, steps: int) -> None:
    machine = type("Machine", (LeaseMachine,), {"url": url, "home": home})
    # Not shrunk: that would outlast the test's time limit, and forty steps can be read.
    budget = hypothesis_settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, phases=[Phase.generate]
    )
    run_state_machine_as_test(machine, settings=budget)


@pytest.fixture
def memory_url(sqlite_template: Path) -> Iterator[str]:
    """A SQLite file in memory, where a commit costs nothing."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        file = Path(folder) / "pixmill.db"
        shutil.copyfile(sqlite_template, file)
        yield f"sqlite:///{file}"


def test_no_order_of_events_breaks_a_lease_on_sqlite(memory_url: str, tmp_path: Path) -> None:
    walk(memory_url, tmp_path, examples=20, steps=40)


def test_no_order_of_events_breaks_a_lease_on_postgresql(postgres_url: str, tmp_path: Path) -> None:
    walk(postgres_url, tmp_path, examples=5, steps=40)
