"""What every question works on: settings and database, each opened when first asked for."""

import getpass
import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

T = TypeVar("T")

if TYPE_CHECKING:
    from collections.abc import Callable
    from tempfile import TemporaryDirectory

    from db.engine import Database
    from pixmill.settings import Settings
    from storage.paths import Layout


class Workspace:
    """Settings, database and files: those that a settings file and a home choose."""

    def __init__(
        self, config: Path | None = None, home: Path | None = None, settings: "Settings | None" = None
    ) -> None:
        self.config = config
        self.home = home
        self.more_flags: dict[str, Any] = {}  # of one command, before it asks for the settings
        self._given = settings
        self._is_left = False  # whether a question to the database was given up, which still goes on

    @property
    def flags(self) -> dict[str, Any]:
        """Settings that go before all others."""
        return self.more_flags if self.home is None else {"home": self.home, **self.more_flags}

    @cached_property
    def settings(self) -> "Settings":
        """All settings.  Raises ConfigError."""
        from pixmill.settings import load_settings

        if self._given is not None:
            return self._given
        return load_settings(config=self.config, flags=self.flags)

    @property
    def layout(self) -> "Layout":
        """Where files lie below the storage root."""
        from storage.paths import Layout

        return Layout(self.settings.storage_root)

    @cached_property
    def database(self) -> "Database":
        """The database, with a schema that this pixmill works with; the embedded one is made where it is missing.

        Raises DatabaseUnreachable, SchemaMismatch, ConfigError or PermissionDenied.
        """
        from db.schema import prepare_schema, require_current_schema

        database = self.unchecked_database
        if database.is_sqlite:
            prepare_schema(database)
        else:
            # An empty PostgreSQL database may be somebody else's: only `db upgrade` fills it.
            self.ask_first(lambda: require_current_schema(database))
        return database

    def ask_first(self, ask: "Callable[[], T]") -> "T":
        """The first that the database is asked for.  Raises DatabaseUnreachable when it does not answer in time.

        The driver gives each of a server's addresses two seconds, which is longer than a person waits.
        """
        from client.answers import answered
        from pixmill.errors import DatabaseUnreachable

        database = self.unchecked_database
        if database.is_sqlite:
            return ask()
        seconds = self.settings.database.connect_timeout_seconds

        def ask_and_tidy() -> "T":
            try:
                return ask()
            finally:
                if self._is_left:  # nobody waits for this any more
                    database.dispose()

        try:
            return answered(ask_and_tidy, seconds)
        except TimeoutError:
            self._is_left = True
            raise DatabaseUnreachable(
                f"database {database.label} does not answer within {seconds:g} s",
                hint="check that the server runs; one that is far away may need database.connect_timeout_seconds",
            ) from None

    @cached_property
    def unchecked_database(self) -> "Database":
        """The database, whatever its schema.  Raises ConfigError or PermissionDenied."""
        from db.engine import open_database

        return open_database(self.settings)

    @cached_property
    def scratch(self) -> Path:
        """A folder for what is fetched, until `close`."""
        return Path(self._scratch.name)

    @cached_property
    def _scratch(self) -> "TemporaryDirectory[str]":
        from tempfile import TemporaryDirectory

        return TemporaryDirectory(prefix="pixmill-")

    def close(self) -> None:
        """Close the connections that were opened, and remove what was fetched."""
        if "_scratch" in self.__dict__:
            self._scratch.cleanup()
        if "unchecked_database" in self.__dict__ and not self._is_left:
            self.unchecked_database.dispose()


def user_name() -> str:
    """Who asks; a container's user may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
