"""The product with one of its safeguards taken out: `python -m tests.faults.broken VARIANT … arguments of pixmill …`.

Each variant is a design that was considered, or that others use. The checker has to find what each of them breaks: a
check that cannot fail proves nothing. `skewed` is no broken product but the real one on a host whose clock is wrong.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.orm import Session

SKEW_SECONDS = 600.0


def no_fence() -> None:
    """An old epoch is as good as the present one: whoever says that it has the task is believed."""
    from db.tables.jobs import Task

    _fence_by(Task.lease_epoch >= bindparam("of_epoch"))


def _fence_by(mine: Any) -> None:
    """Let that alone tell whose lease it is."""
    from db import handfuls, leases
    from db.tables.jobs import Task
    from pixmill.states import State

    running = (Task.id == bindparam("of_task"), Task.state == State.RUNNING)
    assert {"MY_EPOCH", "MINE"} <= vars(leases).keys()  # else nothing would be taken out
    vars(leases).update(MY_EPOCH=(mine,), MINE=(*running, mine))
    assert "MINE" in vars(handfuls)
    vars(handfuls).update(MINE=(*running, mine))


def attempt_fence() -> None:
    """The fence is an attempt number, and an operator's retry counts anew: an old number comes back (ABA).

    It is all that there is: neither does the fence ask for the worker, nor a claim for what lies on the disk.
    """
    import db.control as control
    from db import claims
    from db.tables.jobs import Attempt, Task

    _fence_by(Task.lease_epoch == bindparam("of_epoch"))
    assert "unused_epoch" in vars(claims)
    vars(claims).update(unused_epoch=lambda _session, _path, epoch: epoch)
    retry = control.retry_job

    def retry_from_zero(session: Session, job_id: int, **how: Any) -> None:
        retry(session, job_id, **how)
        tasks = select(Task.id).where(Task.job_id == job_id)
        session.execute(delete(Attempt).where(Attempt.task_id.in_(tasks)))
        session.execute(update(Task).where(Task.job_id == job_id).values(lease_epoch=0))

    control.retry_job = retry_from_zero


def publish_first() -> None:
    """A result becomes visible in a transaction of its own, before the one that ends the task."""
    from db.leases import Lease
    from worker.parent import runner
    from worker.parent.publishing import publisher
    from worker.parent.watch import Watch

    succeed = runner.Runner._succeed

    def publish_and_succeed(self: runner.Runner, lease: Lease, watch: Watch, result: dict[str, Any]) -> None:
        publish = publisher(lease.role)
        if publish is not None:
            result = self._database.transact(lambda session: publish(session, lease, result))
        succeed(self, lease, watch, result)

    vars(runner).update(publisher=lambda _role: None)
    runner.Runner._succeed = publish_and_succeed  # type: ignore[method-assign]


def wall_clock() -> None:
    """Leases run out by the time of day: what a host's clock says against what the database last wrote."""
    from datetime import UTC, datetime

    from db.dispatch import sight_running
    from db.tables.fleet import Worker
    from db.tables.jobs import Task
    from scheduler.tick import Ticker

    def reap(self: Ticker, seen: object) -> int:
        at = datetime.fromtimestamp(time.time(), UTC)
        with self._database.read() as session:
            seen_at = dict(
                session.execute(select(Task.id, Worker.seen_at).join(Worker, Task.worker_id == Worker.id)).all()
            )
            sightings = sight_running(session)
        late = [task for task in sightings if (at - seen_at[task]).total_seconds() > self._settings.lease_seconds]
        for task_id in late:
            self._expire(task_id, sightings[task_id])
        return len(late)

    Ticker._reap = reap  # type: ignore[method-assign]


def skewed() -> None:
    """The host's clock is ten minutes ahead."""
    real = time.time
    time.time = lambda: real() + SKEW_SECONDS


VARIANTS: Mapping[str, Sequence[Callable[[], None]]] = {
    "no-fence": (no_fence,),
    "attempt-fence": (attempt_fence,),
    "publish-first": (publish_first,),
    "wall-clock": (wall_clock, skewed),
    "skewed": (skewed,),
}


def main() -> None:
    """Break what the first argument names, then be pixmill."""
    variant = sys.argv.pop(1)
    for take_out in VARIANTS[variant]:
        take_out()
    from cli.main import main as run

    run()


if __name__ == "__main__":
    main()
