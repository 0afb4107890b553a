"""Sends what operators shall be told, in a thread of the scheduler that keeps nothing else waiting.

Any number of schedulers may do this: each notification is claimed before it is sent. It is sent once where the receiver
answers, and again with the same id where nobody knows.
"""

import hashlib
import logging
import time
from functools import partial
from typing import Any

from db.engine import Database
from db.notifications import Claimed, claim_next, earliest_try, give_up, mark_sent, prune, skip, try_again
from pixmill.errors import ConfigError, CorruptRow
from pixmill.sections import NotifySettings
from scheduler.background import Background
from scheduler.webhook import Answer, make_message, post, read_key

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0  # the longest pause between two looks at what is due
OUTAGE_SECONDS = 2.0  # after an error of the database, or one that nobody foresaw
HELD_TRIES = 3.0  # a claim lasts so many times as long as a try may take
LONGEST_PAUSE = 4 * 3600.0  # between two tries of one notification
LONGEST_REST = 60.0  # that is left to a receiver which does not answer
JITTER = 0.2  # of a pause
PRUNE_SECONDS = 3600.0
PRUNED_AT_ONCE = 500


class Messenger(Background):
    """Carries notifications to the webhook; without one it only removes old rows."""

    name, action, outage_seconds = "messenger", "notify", OUTAGE_SECONDS

    def __init__(self, database: Database, settings: NotifySettings) -> None:
        super().__init__(database)
        self._settings = settings
        self._failures = 0  # one after the other, whatever was sent
        self._rests_until = 0.0  # by the monotonic clock
        self._prunes_at = 0.0

    def look(self) -> float:
        """Do what is due; gives how long to wait before the next look.  Raises DatabaseUnreachable."""
        self.prune()
        self.send_due()
        return self.pause()

    def pause(self) -> float:
        """Seconds until something may be due.  Raises DatabaseUnreachable."""
        if self._settings.url is None:  # what waits then is sent by nobody, and is no reason to look again and again
            return PRUNE_SECONDS
        at, due = self._database.consult(earliest_try)
        until_due = LOOK_SECONDS if due is None else (due - at).total_seconds()
        until_rested = self._rests_until - time.monotonic()
        return min(LOOK_SECONDS, max(0.01, until_due, until_rested))

    def prune(self) -> None:
        """Remove old rows, now and then.  Raises DatabaseUnreachable."""
        if time.monotonic() < self._prunes_at:
            return
        keep = max(self._settings.keep_days * 86_400.0, self._settings.give_up_seconds)
        act = partial(prune, keep_seconds=keep, limit=PRUNED_AT_ONCE)
        while not self._stop.is_set() and self._database.transact(act):
            pass
        self._prunes_at = time.monotonic() + PRUNE_SECONDS

    def send_due(self) -> int:
        """Try all that is due, one after the other; gives how many were sent.  Raises DatabaseUnreachable.

        A receiver that does not answer is left alone for a while: what else is due waits, and counts no try.
        """
        sent = 0
        while self._may_send() and (claimed := self._claim()) is not None:
            sent += self._handle(claimed)
        return sent

    def _may_send(self) -> bool:
        return self._settings.url is not None and not self._stop.is_set() and time.monotonic() >= self._rests_until

    def _claim(self) -> Claimed | None:
        at, due = self._database.consult(earliest_try)
        if due is None or due > at:
            return None
        hold = HELD_TRIES * self._settings.timeout_seconds
        return self._database.transact(lambda session: claim_next(session, hold))

    def _handle(self, claimed: Claimed) -> bool:
        is_late = (claimed.claimed_at - claimed.wanted_at).total_seconds() > self._settings.give_up_seconds
        if claimed.kind not in self._settings.events:
            self._skip(claimed, "not among notify.events")
        elif is_late and claimed.tries - claimed.excused_tries == 1:
            self._skip(claimed, "it was too old when it could first be sent")
        else:
            try:
                answer = self._send(claimed)
            except CorruptRow as error:
                self._give_up(claimed, None, error.message)
                return False
            self._note_health(answer)
            self._settle(claimed, answer, is_late=is_late)
            return answer.is_delivered
        return False

    def _skip(self, claimed: Claimed, why: str) -> None:
        self._database.transact(partial(skip, claimed=claimed, why=why))
        self._log(logging.INFO, "notification is not sent", claimed, why)

    def _send(self, claimed: Claimed) -> Answer:
        assert self._settings.url is not None
        try:
            key = read_key(self._settings.secret_file)
        except ConfigError as error:
            return Answer(None, error.message)
        about = (claimed.token, claimed.kind, claimed.subject, claimed.facts)
        message = make_message(*about, at=claimed.added_at, count=claimed.count)
        url, settings = self._settings.url.get_secret_value(), self._settings
        return post(url, message, key, settings.timeout_seconds, allow_private=settings.allow_private)

    def _note_health(self, answer: Answer) -> None:
        self._failures = self._failures + 1 if answer.is_receiver_ill else 0
        if answer.is_receiver_ill:
            rest = min(LONGEST_REST, self._settings.retry_seconds * 2.0 ** min(self._failures - 1, 10))
            self._rests_until = time.monotonic() + max(rest, answer.retry_after_seconds)

    def _settle(self, claimed: Claimed, answer: Answer, *, is_late: bool) -> None:
        """Write down what has become of a try, unless another scheduler took over meanwhile."""
        if answer.error is None:
            assert answer.status is not None
            self._database.transact(partial(mark_sent, claimed=claimed, status=answer.status))
            self._log(logging.INFO, "notification sent", claimed)
            return
        told: dict[str, Any] = {"claimed": claimed, "status": answer.status, "error": answer.error}
        if is_late or claimed.tries - claimed.excused_tries >= self._settings.max_tries:
            self._give_up(**told)
            return
        pause = max(pause_before(claimed, self._settings.retry_seconds), answer.retry_after_seconds)
        self._database.transact(partial(try_again, pause_seconds=pause, **told))
        self._log(logging.INFO, "notification waits", claimed, answer.error)

    def _give_up(self, claimed: Claimed, status: int | None, error: str) -> None:
        self._database.transact(partial(give_up, claimed=claimed, status=status, error=error))
        self._log(logging.ERROR, "notification given up", claimed, error)

    def _log(self, level: int, message: str, claimed: Claimed, reason: str | None = None) -> None:
        facts = {"action": "notify", "notification": claimed.id, "kind": claimed.kind, "tries": claimed.tries}
        log.log(level, message, extra=facts if reason is None else {**facts, "reason": reason})


def pause_before(claimed: Claimed, retry_seconds: float) -> float:
    """Seconds before the next try: doubled with each, and shifted by what follows from token and try."""
    failed = claimed.tries - claimed.excused_tries
    digest = hashlib.sha256(f"{claimed.token} {claimed.tries}".encode()).digest()
    share = int.from_bytes(digest[:4]) / 2**32
    return float(min(LONGEST_PAUSE, retry_seconds * 2.0 ** min(failed - 1, 30)) * (1 + JITTER * (2 * share - 1)))
