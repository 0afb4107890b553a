"""What pages are made of: one read of the database, files beside it, and pages that are kept for a moment."""

import asyncio
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from client.workspace import Workspace
from pixmill.errors import DatabaseUnreachable
from server.threads import Pool

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.engine import Database

T = TypeVar("T")

ANSWER_SECONDS = 1.7  # the rest of two seconds is for the page that says that the database is away
FILE_SECONDS = 60.0  # a shard may have to come from a bucket
THREADS, FILE_THREADS = 8, 4
WAITING = 64  # calls that wait for a thread


class ReadingWorkspace(Workspace):
    """The same settings, and a database that refuses every write; nothing is made that is not there."""

    @cached_property
    def unchecked_database(self) -> "Database":
        """The database, whatever its schema.  Raises ConfigError, or DatabaseUnreachable where it was never made."""
        from db.engine import open_database

        url = self.settings.database_url
        file = url.removeprefix("sqlite:///")
        if file != url and not Path(file).exists():
            raise DatabaseUnreachable(f"database {file} is not made yet", hint="pixmill up")
        return open_database(self.settings, read_only=True)

    @cached_property
    def database(self) -> "Database":
        """The database, with a schema that this pixmill works with.  Raises also SchemaMismatch."""
        from db.schema import require_current_schema

        database = self.unchecked_database
        require_current_schema(database)
        return database


class Remembered(Generic[T]):
    """Values that are kept for a moment, at most so many; for threads."""

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds, self._most = seconds, most
        self._values: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of that key: what was made of it a moment ago, or is made now."""
        with self._lock:
            found = self._values.get(key)
            if found is not None and found[0] > time.monotonic():
                self._values.move_to_end(key)
                return found[1]
        value = make()
        with self._lock:
            self._values[key] = (time.monotonic() + self._seconds, value)
            self._values.move_to_end(key)
            while len(self._values) > self._most:
                self._values.popitem(last=False)
        return value


class Kept(Generic[T]):
    """Values made by one for all who ask within a moment; for the event loop."""

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds, self._most = seconds, most
        self._tasks: OrderedDict[Hashable, asyncio.Future[T]] = OrderedDict()
        self._ended: dict[Hashable, float] = {}

    async def get(self, key: Hashable, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The value of that key; whoever asks while it is made waits for it, and is told the same error."""
        task = self._tasks.get(key)
        if task is None or time.monotonic() - self._ended.get(key, math.inf) > self._seconds:
            task = self._begin(key, make)
        return await asyncio.shield(task)

    def forget(self) -> None:
        """Make everything anew."""
        self._tasks.clear()
        self._ended.clear()

    def fresh(self, key: Hashable) -> T | None:
        """The value of that key if it is there and good; nothing is made for it."""
        task = self._tasks.get(key)
        if task is None or not task.done() or task.cancelled() or task.exception() is not None:
            return None
        is_old = time.monotonic() - self._ended.get(key, -math.inf) > self._seconds
        return None if is_old else task.result()

    def _begin(self, key: Hashable, make: Callable[[], Coroutine[Any, Any, T]]) -> "asyncio.Future[T]":
        task = self._tasks[key] = asyncio.ensure_future(make())
        self._tasks.move_to_end(key)
        self._ended.pop(key, None)
        task.add_done_callback(lambda done: self._note_end(key, done))
        while len(self._tasks) > self._most:
            oldest, _ = self._tasks.popitem(last=False)
            self._ended.pop(oldest, None)
        return task

    def _note_end(self, key: Hashable, task: "asyncio.Future[T]") -> None:
        if self._tasks.get(key) is task:
            self._ended[key] = time.monotonic()
        if not task.cancelled():
            task.exception()  # asyncio would log an error that everybody who asked has gone away from


class Reader:
    """Asks the database and the disk, in threads."""

    def __init__(self, workspace: ReadingWorkspace) -> None:
        self.workspace = workspace
        self.answer_seconds = ANSWER_SECONDS
        self._pool = Pool("database", THREADS, WAITING)
        self._files = Pool("files", FILE_THREADS, WAITING)
        self._opening = threading.Lock()

    @property
    def lease_seconds(self) -> float:
        """After how many seconds without a word somebody counts as gone."""
        return self.workspace.settings.scheduler.lease_seconds

    async def ask(self, act: "Callable[[Session], T]") -> T:
        """What `act` reads of one state of the database.

        Raises TooSlow, Busy, DatabaseUnreachable, ConfigError, and what `act` raises.
        """
        return await self._pool.run(lambda: self.read(act), self.answer_seconds)

    async def fetch(self, act: Callable[[], T]) -> T:
        """What `act` makes of files, which may take long.  Raises TooSlow, Busy, and what `act` raises."""
        return await self._files.run(act, FILE_SECONDS)

    def read(self, act: "Callable[[Session], T]") -> T:
        """The same as `ask`, in this thread."""
        with self._opening:
            database = self.workspace.database
        return database.consult(act)
