"""What runs next: priority that ages, fair shares between users and queues, limits of queues.

Inside one account (a queue and a user) the smallest rank goes first. A rank is the time of the submit minus what the
priority is worth, so a waiting task gains on every later one for as long as it waits, and nothing ever has to be
recomputed: priority ages by itself.

Between accounts the smallest score goes first: the rank of the account's best task plus what the account has used of
the devices lately. A device second used counts like a second of waiting; the use fades with a half-life. The charges
of a user in all queues count, and those of a queue for all users, divided by the queue's weight.
"""

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from db.corrupt import corrupt_rows, sound_rows
from db.lanes import Ready, Slot, next_of_account
from db.tables.fleet import DeviceKind
from db.tables.jobs import Account, Queue, Task
from db.types import now
from pixmill.errors import CorruptRow
from pixmill.states import State

POINT_MILLISECONDS = 60_000  # of waiting that one point of priority is worth
HALF_LIFE_SECONDS = 86_400.0  # after which half of a use is forgotten
TURN_MILLISECONDS = 60_000  # charged for every task that has started and not ended, however short it may be

_queues: Any = Queue.__table__
_accounts: Any = Account.__table__
_tasks: Any = Task.__table__


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one user has, and may have, through one queue that is open."""

    queue: str
    user: str
    waits: bool  # whether tasks are pending that do not wait for others
    has_lanes: bool  # whether some of them are of arrays with a limit
    device_seconds: float  # used lately
    weight: float
    max_running: int | None
    max_running_per_user: int | None

    @property
    def has_limit(self) -> bool:
        """Whether its queue limits how many tasks run at once."""
        return self.max_running is not None or self.max_running_per_user is not None


def rank_of(submitted_at: datetime, priority: int) -> int:
    """Milliseconds: the time of the submit, earlier by what the priority is worth.

    >>> from datetime import UTC
    >>> rank_of(datetime(1970, 1, 1, 0, 2, tzinfo=UTC), 1)
    60000
    """
    return round(submitted_at.timestamp() * 1000) - priority * POINT_MILLISECONDS


def faded(device_seconds: float, age_seconds: float) -> float:
    """What is left of a use.

    >>> faded(100.0, HALF_LIFE_SECONDS)
    50.0
    """
    return float(device_seconds * 0.5 ** (max(0.0, age_seconds) / HALF_LIFE_SECONDS))


def ready_tasks(session: Session, slot: Slot, count: int) -> list[Ready]:
    """The next `count` tasks for such workers, best first; they still have to be taken by compare-and-set."""
    shares = read_shares(session)
    waiting = [share for share in shares if share.waits]
    if len(waiting) == 1 and not waiting[0].has_limit:
        return _of_share(session, waiting[0], slot, count)
    active = active_tasks(session)
    lanes = [
        _Lane(share, charge, _of_share(session, share, slot, count))
        for share, charge in zip(shares, charges(shares, active), strict=True)
        if share.waits and room_in(share, active) > 0
    ]
    return _merge(lanes, active, count)


def read_shares(session: Session) -> list[Share]:
    """The accounts of all open queues; of one that cannot be read the use is forgotten, and what its queue sets."""

    def told(row: Any, error: CorruptRow) -> Any:
        corrupt_rows(session).tell(f"the account of {row.user_name} in queue {row.queue}, or that queue,", error)
        return row

    return [
        Share(
            queue=row.queue,
            user=row.user_name,
            waits=row.waits,
            has_lanes=row.has_lanes,
            device_seconds=left_of(row),
            weight=row.weight if row.weight and math.isfinite(row.weight) else 1.0,
            max_running=row.max_running,
            max_running_per_user=row.max_running_per_user,
        )
        for row in sound_rows(session, _shares_statement(), {}, told)
    ]


def left_of(account: Any) -> float:
    """What is left of an account's use, `at` a time; nothing of one that cannot be read."""
    if account.device_seconds is None or account.charged_at is None:
        return 0.0
    return faded(account.device_seconds, (account.at - account.charged_at).total_seconds())


@cache
def _shares_statement() -> "Select[Any]":
    pending = select(_tasks.c.id).where(
        _tasks.c.state == State.PENDING,
        ~_tasks.c.blocked,
        _tasks.c.queue == _accounts.c.queue,
        _tasks.c.user_name == _accounts.c.user_name,
    )
    columns = (_queues.c.weight, _queues.c.max_running, _queues.c.max_running_per_user)
    # Not EXISTS: PostgreSQL would read all that waits into a hash table, to look up a handful of accounts in it. In the
    # order of the index: or else it takes any task for as good as the next, and reads on and on for the first one.
    first = pending.order_by(_tasks.c.limited_by).limit(1)
    waits = first.scalar_subquery().is_not(None)
    # Ids begin at 1: a comparison with a number is what SQLite finds in an index, IS NOT NULL is not.
    has_lanes = first.where(_tasks.c.limited_by > 0).scalar_subquery().is_not(None)
    return (
        select(_accounts, *columns, waits.label("waits"), has_lanes.label("has_lanes"), now().label("at"))
        .join(_queues, _queues.c.name == _accounts.c.queue)
        .where(~_queues.c.paused)
        .order_by(_accounts.c.queue, _accounts.c.user_name)
    )


def active_tasks(session: Session) -> "Counter[tuple[str, str]]":
    """(queue, user) → tasks that run, or are about to."""
    statement = select(_tasks.c.queue, _tasks.c.user_name, func.count())
    active = statement.where(_tasks.c.state.in_([State.QUEUED, State.RUNNING]))
    rows = session.execute(active.group_by(_tasks.c.queue, _tasks.c.user_name))
    return Counter({(queue, user): count for queue, user, count in rows})


def room_in(share: Share, active: Mapping[tuple[str, str], int]) -> float:
    """How many more tasks of the account its queue's limits let run."""
    in_queue = sum(count for (queue, _user), count in active.items() if queue == share.queue)
    of_user = active.get((share.queue, share.user), 0)
    total = math.inf if share.max_running is None else share.max_running - in_queue
    own = math.inf if share.max_running_per_user is None else share.max_running_per_user - of_user
    return max(0, min(total, own))


def charges(shares: Sequence[Share], active: Mapping[tuple[str, str], int]) -> list[float]:
    """Milliseconds by which each account is put back for what it has used, and for what runs."""
    by_user: defaultdict[str, float] = defaultdict(float)
    by_queue: defaultdict[str, float] = defaultdict(float)
    for share in shares:
        used = 1000 * share.device_seconds + TURN_MILLISECONDS * active.get((share.queue, share.user), 0)
        by_user[share.user] += used
        by_queue[share.queue] += used / share.weight
    return [by_user[share.user] + by_queue[share.queue] for share in shares]


@dataclass(frozen=True)
class _Lane:
    """The next tasks of one account, and by how much it is put back."""

    share: Share
    charge: float
    tasks: Sequence[Ready]


def _of_share(session: Session, share: Share, slot: Slot, count: int) -> list[Ready]:
    """The account's next tasks that nothing holds back."""
    return next_of_account(session, share.queue, share.user, slot, count, has_lanes=share.has_lanes)


def _merge(lanes: Iterable[_Lane], active: Mapping[tuple[str, str], int], count: int) -> list[Ready]:
    """Take from the account whose turn it is, one at a time, as far as the limits go."""
    active = Counter(active)
    heap = [(lane.charge + lane.tasks[0].rank, lane.tasks[0], 0, lane) for lane in lanes if lane.tasks]
    heapq.heapify(heap)
    taken: list[Ready] = []
    while heap and len(taken) < count:
        _score, task, turn, lane = heapq.heappop(heap)
        if not room_in(lane.share, active):
            continue
        taken.append(task)
        active[lane.share.queue, lane.share.user] += 1
        turn += 1
        if turn < len(lane.tasks):
            following = lane.tasks[turn]
            score = lane.charge + turn * TURN_MILLISECONDS * (1 + 1 / lane.share.weight) + following.rank
            heapq.heappush(heap, (score, following, turn, lane))
    return taken


def waiting_wake_ups(session: Session) -> Mapping[tuple[DeviceKind | None, int], int]:
    """How many tasks have a wake-up on its way, by the kind and the number of devices they need."""
    rows = sound_rows(session, _waiting_statement(), {}, lambda _row, _error: None)  # `queued_tasks` tells of them
    return {(row.device_kind, row.devices): row.waiting for row in rows}


@cache
def _waiting_statement() -> "Select[Any]":
    needs = (_tasks.c.device_kind, _tasks.c.devices)
    counted = select(*needs, func.count().label("waiting"))
    return counted.where(_tasks.c.state == State.QUEUED).group_by(*needs)
