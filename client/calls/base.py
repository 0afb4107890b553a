"""What all calls of a client need: an opened workspace, who asks, and whom to tell of trouble that passes."""

import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from client.jobs import Job
from client.workspace import Workspace, user_name
from pixmill.errors import PixmillError
from pixmill.homes import expanded
from pixmill.times import write_time

if TYPE_CHECKING:
    from pixmill.settings import Settings

_log = logging.getLogger("pixmill.client")

JobLike = int | Job  # an id, or a job as any call gives it
JobLikes = JobLike | Iterable[JobLike]
Parents = JobLikes | str | Iterable[JobLike | str]  # "array:12" means all jobs of that array


def log_trouble(error: PixmillError) -> None:
    """Leave a warning in the log."""
    _log.warning("%s", error.message)


class Caller:
    """Opens the settings that the command line would; connects with the first call that needs the database."""

    def __init__(
        self,
        config: str | Path | None = None,
        home: str | Path | None = None,
        *,
        settings: "Settings | None" = None,
        user: str | None = None,
        on_trouble: Callable[[PixmillError], None] = log_trouble,
    ) -> None:
        self._workspace = Workspace(_path(config), _path(home), settings)
        self._user = user or user_name()
        self._on_trouble = on_trouble

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, and remove what was fetched from buckets."""
        self._workspace.close()

    @property
    def settings(self) -> "Settings":
        """All settings.  Raises ConfigError."""
        return self._workspace.settings

    def _wake(self) -> None:
        """Tell the scheduler; without Redis it sees a change by itself a little later."""
        from client.poking import poke_scheduler

        error = poke_scheduler(self._workspace)
        if error is not None:
            self._on_trouble(error)


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else expanded(Path(given)).absolute()


def id_of(job: JobLike) -> int:
    """The id of a job."""
    return job.id if isinstance(job, Job) else job


def ids_of(jobs: JobLikes) -> list[int]:
    """The ids of one job or of several, each once."""
    if isinstance(jobs, int | Job):
        return [id_of(jobs)]
    return list(dict.fromkeys(map(id_of, jobs)))


def _parents_of(parents: Parents) -> list[int | str]:
    """The jobs and arrays, each once."""
    listed = [parents] if isinstance(parents, int | str | Job) else parents
    return list(dict.fromkeys(one if isinstance(one, str) else id_of(one) for one in listed))


def plain_options(options: dict[str, Any]) -> dict[str, Any]:
    """Options as a document has them: ids for jobs, texts for times, lists of values."""
    plain = dict(options)
    if plain.get("after") is not None:
        plain["after"] = _parents_of(plain["after"])
    if isinstance(plain.get("begin"), datetime):
        plain["begin"] = write_time(plain["begin"])
    if plain.get("labels") is not None:
        plain["labels"] = dict(plain["labels"])
    if plain.get("sweep") is not None:
        plain["sweep"] = {key: _swept(values) for key, values in plain["sweep"].items()}
    return plain


def _swept(values: Any) -> Any:
    return list(values) if isinstance(values, list | tuple | range) else values
