"""One object with all calls."""

from typing import TYPE_CHECKING

from client.calls.acts import ActCalls
from client.calls.base import JobLike, id_of
from client.calls.jobs import JobCalls
from client.calls.models import ModelCalls
from client.calls.pipelines import PipelineCalls
from client.calls.submits import SubmitCalls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from client.health import Check
    from client.outputs import Output


class Client(SubmitCalls, JobCalls, ActCalls, ModelCalls, PipelineCalls):
    """What the command line does, from Python: submit, wait, look, act, and read what was made.

    config: a settings file instead of ./pixmill.toml; home: where database and files are kept; or `settings` as a
    whole. user: who acts; default: whose process it is. on_trouble: is told of a Redis that does not answer, and of
    short outages of the database that are waited out; default: a warning in the log `pixmill.client`.

    Scheduler and workers run elsewhere. All errors are those of pixmill.errors; a server that does not answer is told
    within two seconds. A client may be shared by threads, but not by processes: open one after a fork.

    >>> from client import Client
    >>> with Client(home="/tmp/nowhere") as pixmill:
    ...     pixmill.settings.home.name
    'nowhere'
    """

    def output(self, job: JobLike) -> "Output":
        """What a job has made.  Raises NotFound if it makes nothing, or it was removed; Conflict if not complete."""
        from client.outputs import find_output

        return find_output(self._workspace, id_of(job))

    def checks(self) -> "Sequence[Check]":
        """Database, broker, scheduler, workers, queues, disk: whether each is fine, within two seconds."""
        from client.health import look

        return look(self._workspace).checks
