"""Which jobs a command is about, by what stands on its line."""

from dataclasses import dataclass
from typing import Any

import click

import client.selection


@dataclass(frozen=True, kw_only=True)
class Selection(client.selection.Selection):
    """What stands on the command line."""

    @classmethod
    def from_flags(cls, flags: dict[str, Any], ids: tuple[int, ...] = ()) -> "Selection":
        """Take what `filter_options` added out of a command's arguments."""
        chosen = {name: flags.pop(name) for name in ("states", "kinds", "queues", "users")}
        return cls(ids=tuple(dict.fromkeys(ids)), labels=dict(flags.pop("labels")), **chosen)

    def require_one(self, verb: str) -> None:
        """Refuse to act on all jobs for want of a word, and on ids and a filter at once.  Raises UsageError."""
        if not self.ids and not self.has_filter:
            raise click.UsageError(f"name the jobs to {verb}, or choose them: --state, --kind, -l, --queue or --user")
        if self.ids and self.has_filter:
            raise click.UsageError("jobs are named by their ids or chosen by a filter, not both at once")
