"""The one way by which the dashboard changes anything: a connection of its own, for acts that were allowed."""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from db.engine import open_database
from db.schema import require_current_schema
from server.threads import Pool

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.engine import Database
    from pixmill.settings import Settings

T = TypeVar("T")

WAITING = 16
SECONDS = 20.0  # longer than a writer waits for another's lock: what became of the act is to be known


class Writer:
    """Runs acts one after the other."""

    def __init__(self, settings: "Settings") -> None:
        self._settings = settings
        self._pool = Pool("acts", 1, WAITING)

    @cached_property
    def _database(self) -> "Database":
        database = open_database(self._settings)
        require_current_schema(database)
        return database

    async def write(self, act: "Callable[[Session], T]") -> T:
        """Run `act` in a transaction.  Raises what it raises, DatabaseUnreachable, TooSlow and Busy."""
        return await self._pool.run(lambda: self._database.transact(act), SECONDS)

    def close(self) -> None:
        """Close the connections."""
        if "_database" in self.__dict__:
            self._database.dispose()
