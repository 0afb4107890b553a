"""Which jobs are meant: named by their ids, or chosen by what they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pixmill.states import State

if TYPE_CHECKING:
    from db.listing import JobFilter


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Ids, or a filter; several values of one kind are alternatives, and what is empty restricts nothing."""

    ids: tuple[int, ...] = ()
    states: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    labels: Mapping[str, str]
    queues: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    arrays: tuple[int, ...] = ()
    since: datetime | None = None  # of its submit
    until: datetime | None = None
    ended_since: datetime | None = None

    @property
    def has_filter(self) -> bool:
        """Whether jobs are chosen by what they are."""
        return bool(self.arrays or self._has_others)

    @property
    def has_only_arrays(self) -> bool:
        """Whether whole arrays are chosen."""
        return bool(self.arrays) and not self._has_others

    @property
    def _has_others(self) -> bool:
        moments = self.since or self.until or self.ended_since
        return bool(self.states or self.kinds or self.labels or self.queues or self.users or moments)

    def job_filter(self, default_states: tuple[State, ...] = (), before: int | None = None) -> "JobFilter":
        """The same for the database; a filter without states takes the default ones."""
        from db.listing import JobFilter
        from db.periods import Period

        states = tuple(State(state) for state in self.states)
        return JobFilter(
            ids=self.ids,
            states=states or (() if self.ids else default_states),
            kinds=self.kinds,
            labels=self.labels,
            queues=self.queues,
            users=self.users,
            arrays=self.arrays,
            before=before,
            submitted=Period(since=self.since, until=self.until),
            ended=Period(since=self.ended_since),
        )
