"""Times between two moments, as lists are asked for them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.orm import InstrumentedAttribute


@dataclass(frozen=True, kw_only=True)
class Period:
    """From `since` on, and before `until`; None sets no bound."""

    since: datetime | None = None
    until: datetime | None = None

    def bounds(self, moment: "InstrumentedAttribute[Any]") -> list[ColumnElement[bool]]:
        """What must hold of a column for its moment to lie in the period."""
        first = [] if self.since is None else [moment >= self.since]
        return first if self.until is None else [*first, moment < self.until]


ALWAYS = Period()
