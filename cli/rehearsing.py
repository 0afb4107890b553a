"""Acts that are done, looked at, and taken back."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.engine import Database

T = TypeVar("T")


class _Undone(Exception):
    """Takes an act back."""

    def __init__(self, outcome: Any) -> None:
        super().__init__(outcome)
        self.outcome = outcome


def rehearse(database: "Database", act: "Callable[[Session], T]") -> T:
    """What comes of an act that changes nothing.  Raises what `act` raises."""

    def do_and_undo(session: "Session") -> NoReturn:
        raise _Undone(act(session))

    try:
        database.transact(do_and_undo)
    except _Undone as undone:
        outcome: T = undone.outcome
        return outcome
    raise AssertionError("unreachable")
