"""What a worker holds: every transaction that begins a lease, or ends one well.

Short tasks are held by the handful: claimed in one commit, run one after the other, stored in one commit. Where tasks
are short, most of the time would go into commits.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial

from sqlalchemy.orm import Session

from db.claims import claim, unanswered_claims
from db.corruptjobs import fail_corrupt, fail_noted
from db.engine import Database
from db.handfuls import Success, claim_alike, succeed, succeed_all
from db.leases import Lease, finish, give_back
from db.tables.fleet import Worker
from db.tables.jobs import Outcome, Role
from pixmill.crashpoints import CrashPoint, reach
from pixmill.errors import CorruptRow, DatabaseUnreachable, LeaseLost, PixmillError
from pixmill.states import FailureReason, State
from storage.paths import Layout
from worker.parent.stubborn import Stubborn

log = logging.getLogger(__name__)

HANDFUL_SECONDS = 0.05  # what a handful is meant to take
PATIENCE_SECONDS = 0.5  # after which one that takes longer keeps the others waiting no more
MOST = 32  # tasks in a handful
NOT_BEGUN = "its worker held it together with others, and had not begun it"


class Holding:
    """The leases of one worker: what runs, what was claimed with it and waits, what has succeeded and is not stored."""

    def __init__(self, database: Database, worker: Worker, stubborn: Stubborn, is_stopping: Callable[[], bool]) -> None:
        self._database = database
        self._worker = worker
        self._stubborn = stubborn
        self._is_stopping = is_stopping
        self._waiting: deque[Lease] = deque()
        self._ended: list[Success] = []
        self._until = 0.0  # when the handful has to be done
        self._slowest = 0.0  # seconds of a task of this handful
        self._is_claim_unanswered = False  # from a claim until its commit is known
        self._abandoned: set[tuple[int, int]] = set()  # (task, epoch) of leases that have to run out

    @property
    def has_unstored(self) -> bool:
        """Whether tasks have succeeded that nobody can see yet."""
        return bool(self._ended)

    def seconds_left(self) -> float | None:
        """For how long what runs may still keep others waiting; None: for ever, as there are none."""
        return max(0.0, self._until - time.monotonic()) if self._ended or self._waiting else None

    def take_up(self, hint: tuple[int, int] | None) -> Lease | None:
        """Claim the hinted task, or else the best one that waits; jobs that cannot be read are failed on the way.

        Raises DatabaseUnreachable.
        """
        lease = self._take_up(hint)
        while fail_noted(self._database, self._worker.name) and lease is None:
            lease = self._take_up(None)  # they have stood before others
        return lease

    def _take_up(self, hint: tuple[int, int] | None) -> Lease | None:
        claim_it = partial(self._claim, hint=hint)
        if not self._is_claim_unanswered:
            try:
                return self._begin(self._database.transact(claim_it))
            except DatabaseUnreachable:
                if not self._is_claim_unanswered:
                    raise
        # A claim may have gone through: nobody is woken for its task again, so the answer is worth waiting for.
        return self._begin(self._stubborn.transact(claim_it))

    def succeed(self, success: Success, seconds: float) -> Lease | None:
        """Take in a task that was done in so many seconds; gives the next one, if one is held.

        Raises DatabaseUnreachable when the worker must stop and the database stays away.
        """
        self._ended.append(success)
        self._slowest = max(self._slowest, seconds)
        if self._waiting and self.seconds_left() and not self._is_stopping():
            reach(CrashPoint.WORKER_KEPT_RESULT)
            return self._waiting.popleft()
        return self._store_and_go_on(success.lease.role)

    def put_down(self) -> None:
        """Store what has succeeded and give back what was not begun.  Raises as `succeed`."""
        if self._ended or self._waiting:
            self._store(lambda _session: [])

    def abandon(self, running: Lease) -> None:
        """Forget all that is held: it has to run out."""
        held = [running, *self._waiting, *(success.lease for success in self._ended)]
        self._abandoned.update((lease.task_id, lease.epoch) for lease in held)
        self._forget()

    def fail(self, lease: Lease, reason: FailureReason, message: str) -> None:
        """End a lease that has failed.  Raises LeaseLost, or as `succeed`."""
        end = partial(finish, lease=lease, outcome=Outcome.FAILED, reason=reason, message=message)
        told = {"job": lease.job_id, "task": lease.task_id, "reason": reason.value}
        try:
            state = self._stubborn.transact(end)
        except CorruptRow as error:
            return self.give_up(lease, error)
        if state is State.PENDING:
            log.warning("failed; will be tried again", extra=told)
        else:
            log.error("failed", extra=told)
        return None

    def give_up(self, lease: Lease, error: CorruptRow) -> None:
        """End a lease whose job cannot be read: the job fails, whatever its rows hold.  Raises as `succeed`."""
        self._database.corrupt_rows.note_job(lease.job_id, f"job {lease.job_id}", error)
        for job_id, why in self._database.corrupt_rows.take().items():
            self._stubborn.transact(partial(fail_corrupt, job_id=job_id, why=why, actor=self._worker.name))

    def _begin(self, leases: Iterable[Lease]) -> Lease | None:
        self._is_claim_unanswered = False
        self._waiting.extend(leases)
        self._until = time.monotonic() + PATIENCE_SECONDS
        self._slowest = 0.0
        return self._waiting.popleft() if self._waiting else None

    def _claim(self, session: Session, hint: tuple[int, int] | None) -> list[Lease]:
        unheard = self._unheard(session)
        if unheard:
            return unheard
        lease = claim(session, self._worker, hint, Layout.run_path)
        return [] if lease is None else [lease]

    def _claim_alike(self, session: Session, role: Role) -> list[Lease]:
        room = max(1, min(MOST, int(HANDFUL_SECONDS / max(self._slowest, 1e-6))))
        unheard = self._unheard(session)
        return unheard or claim_alike(session, self._worker, role, room, Layout.run_path, patient=False)

    def _unheard(self, session: Session) -> list[Lease]:
        """What an earlier claim has brought whose answer was lost; from now on an answer is waited for."""
        known = self._abandoned
        leases = unanswered_claims(session, self._worker, known) if self._is_claim_unanswered else []
        self._is_claim_unanswered = True
        return leases

    def _store_and_go_on(self, role: Role) -> Lease | None:
        """Store what is held, and claim in the same commit what comes next."""
        if self._is_stopping():
            self.put_down()
            return None
        leases = self._store(lambda session: self._claim_alike(session, role))
        return None if leases is None else self._begin(leases)

    def _store(self, claim_next: Callable[[Session], list[Lease]]) -> list[Lease] | None:
        """Store and give back in one commit, with what is claimed in it; None: nothing could be claimed along."""

        def store(session: Session) -> list[Lease]:
            succeed_all(session, self._ended)
            for lease in self._waiting:
                give_back(session, lease, NOT_BEGUN)
            return claim_next(session)

        try:
            leases = self._stubborn.transact(store)
        except DatabaseUnreachable:
            raise
        except PixmillError:  # one of them is no longer held, or what it refers to is gone: each by itself then
            self._store_each()
            return None
        self._tell_stored(self._ended)
        self._forget()
        return leases

    def _store_each(self) -> None:
        ended, waiting = tuple(self._ended), tuple(self._waiting)
        for success in ended:
            self._store_one(success)
        for lease in waiting:
            try:
                self._stubborn.transact(partial(give_back, lease=lease, why=NOT_BEGUN))
            except LeaseLost as error:
                tell_lost(lease, error)
            except CorruptRow as error:
                self.give_up(lease, error)
        self._forget()

    def _store_one(self, success: Success) -> None:
        try:
            self._stubborn.transact(partial(succeed, success=success))
        except LeaseLost as error:
            tell_lost(success.lease, error)
        except DatabaseUnreachable:
            raise
        except PixmillError as error:  # what it refers to is gone
            self.fail(success.lease, FailureReason.ERROR, error.message)
        else:
            self._tell_stored([success])

    @staticmethod
    def _tell_stored(successes: Iterable[Success]) -> None:
        for success in successes:
            reach(CrashPoint.WORKER_FINISHED)
            log.info("succeeded", extra={"job": success.lease.job_id, "task": success.lease.task_id})

    def _forget(self) -> None:
        self._waiting.clear()
        self._ended.clear()


def tell_lost(lease: Lease, error: LeaseLost) -> None:
    """Log that somebody else has the task now."""
    log.warning("lease lost; publishing nothing", extra={"task": lease.task_id, "reason": error.message})
