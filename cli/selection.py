"""Which jobs a command is about: named by their ids, or chosen by a filter."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from pixmill.states import State

if TYPE_CHECKING:
    from db.views import JobFilter


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What stands on the command line."""

    ids: tuple[int, ...] = ()
    states: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    labels: Mapping[str, str]
    queues: tuple[str, ...] = ()
    users: tuple[str, ...] = ()

    @classmethod
    def from_flags(cls, flags: dict[str, Any], ids: tuple[int, ...] = ()) -> "Selection":
        """Take what `filter_options` added out of a command's arguments."""
        chosen = {name: flags.pop(name) for name in ("states", "kinds", "queues", "users")}
        return cls(ids=tuple(dict.fromkeys(ids)), labels=dict(flags.pop("labels")), **chosen)

    @property
    def has_filter(self) -> bool:
        """Whether jobs are chosen by what they are."""
        return bool(self.states or self.kinds or self.labels or self.queues or self.users)

    def require_one(self, verb: str) -> None:
        """Refuse to act on all jobs for want of a word, and on ids and a filter at once.  Raises UsageError."""
        if not self.ids and not self.has_filter:
            raise click.UsageError(f"name the jobs to {verb}, or choose them: --state, --kind, -l, --queue or --user")
        if self.ids and self.has_filter:
            raise click.UsageError("jobs are named by their ids or chosen by a filter, not both at once")

    def job_filter(self, default_states: tuple[State, ...] = (), before: int | None = None) -> "JobFilter":
        """The same for the database; a filter without states takes the default ones."""
        from db.views import JobFilter

        states = tuple(State(state) for state in self.states)
        return JobFilter(
            ids=self.ids,
            states=states or (() if self.ids else default_states),
            kinds=self.kinds,
            labels=self.labels,
            queues=self.queues,
            users=self.users,
            before=before,
        )
