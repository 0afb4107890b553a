"""Which jobs a command is about, by what stands on its line."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

import client.selection
from pixmill.errors import NotFound

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@dataclass(frozen=True, kw_only=True)
class Selection(client.selection.Selection):
    """What stands on the command line."""

    @classmethod
    def from_flags(cls, flags: dict[str, Any], ids: tuple[int, ...] = ()) -> "Selection":
        """Take what `filter_options` added out of a command's arguments."""
        names = ("states", "kinds", "queues", "users", "arrays", "since", "until", "ended_since")
        chosen = {name: flags.pop(name) for name in names}
        return cls(ids=tuple(dict.fromkeys(ids)), labels=dict(flags.pop("labels")), **chosen)

    def require_one(self, verb: str) -> None:
        """Refuse to act on all jobs for want of a word, and on ids and a filter at once.  Raises UsageError."""
        if not self.ids and not self.has_filter:
            raise click.UsageError(
                f"name the jobs to {verb}, or choose them:"
                " --state, --kind, -l, --queue, --user, --array, --since, --until or --ended-since"
            )
        if self.ids and self.has_filter:
            raise click.UsageError("jobs are named by their ids or chosen by a filter, not both at once")


def unknown_queue(session: "Session", names: Sequence[str]) -> str | None:
    """What is wrong with the first queue that does not exist, and which one may be meant; None if all do."""
    from db.queues import get_queue

    for name in names:
        try:
            get_queue(session, name)
        except NotFound as error:
            return f"{error.message}; {error.hint}"
    return None
