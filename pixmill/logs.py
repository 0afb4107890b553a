"""One line an event, for every process: as text for people, or as JSON for whatever collects logs.

Text: time, level, logger, message, then the event's facts as key=value. JSON: one object a line with the same, and with
what is known of the process (host, pid, worker, device) and of the work at that moment (job, task, epoch, trace).
"""

import json
import logging
import os
import re
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from pixmill.times import write_time

FORMAT, LEVEL = "PIXMILL_LOG_FORMAT", "PIXMILL_LOG_LEVEL"  # by which a process tells those that it starts

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_PASSWORD = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*://[^\s/@:]*):[^\s/@]+@")
_ESCAPES = {ord("\n"): "\\n", ord("\r"): "\\r"}

_process: dict[str, Any] = {}  # facts of this process
_work: ContextVar[Mapping[str, Any]] = ContextVar("work", default={})  # noqa: B039  it is never changed, but replaced


def name_process(**facts: Any) -> None:
    """Say what every line of this process shall tell of it, such as worker and device."""
    _process.update(facts)


@contextmanager
def about(**facts: Any) -> Iterator[None]:
    """Say what this thread works on meanwhile; facts that are None are left out."""
    known = {name: value for name, value in facts.items() if value is not None}
    token = _work.set({**_work.get(), **known})
    try:
        yield
    finally:
        _work.reset(token)


class LineFormatter(logging.Formatter):
    """Formats `log.info("lease expired", extra={"task": 3})` as `… lease expired task=3`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; a traceback follows on lines of its own."""
        told = "".join(f" {key}={_quoted(value)}" for key, value in _facts(record).items())
        line = f"{_time(record)} {record.levelname:<7} {record.name} {record.getMessage()}{told}".translate(_ESCAPES)
        if record.exc_info:
            line += f"\n{self.formatException(record.exc_info)}"
        return without_passwords(line)


class JsonFormatter(logging.Formatter):
    """Formats the same as one JSON object a line, a traceback as its `error`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message holds."""
        # What the event itself says goes before what is known around it, and nothing takes the place of the first four.
        told: dict[str, Any] = {"host": socket.gethostname(), "pid": record.process, **_process, **_work.get()}
        told |= _facts(record)
        if record.exc_info:
            told["error"] = self.formatException(record.exc_info)
        head = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line = json.dumps({**head, **{key: value for key, value in told.items() if key not in head}}, default=str)
        return without_passwords(line)


def without_passwords(text: str) -> str:
    """The text with the passwords of its URLs masked.

    >>> without_passwords("redis://ann:secret@host:6379/0 does not answer")
    'redis://ann:***@host:6379/0 does not answer'
    """
    return _PASSWORD.sub(r"\1:***@", text)


def log_to_stderr(format: str | None = None, level: str | None = None) -> None:  # noqa: A002  as the setting is called
    """Send all records of this process to stderr: as text or json, or as json where that is no terminal (auto).

    Processes that this one starts are told the same, and call this without arguments.
    """
    for variable, value in ((FORMAT, format), (LEVEL, level)):
        if value is not None:
            os.environ[variable] = value
    wanted, level = os.environ.get(FORMAT) or "auto", os.environ.get(LEVEL) or "info"
    if wanted == "auto":
        wanted = "text" if sys.stderr.isatty() else "json"
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if wanted == "json" else LineFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    threading.excepthook = _log_end_of_thread


def readable(line: str) -> str:
    """A line of a log as people read it: of a JSON object time, level and message; any other as it is.

    >>> readable('{"time": "2026-11-22T02:00:00Z", "level": "info", "message": "started", "pid": 7}')
    '2026-11-22T02:00:00Z INFO    started'
    """
    if not line.startswith("{"):
        return line
    try:
        told = json.loads(line)
        return f"{told['time']} {told['level'].upper():<7} {told['message']}"
    except (ValueError, KeyError, AttributeError):
        return line


def _log_end_of_thread(arguments: threading.ExceptHookArgs) -> None:
    """A thread that ends by an exception says so as everything else is said."""
    if arguments.exc_value is not None:
        name = arguments.thread.name if arguments.thread else "?"
        error = (arguments.exc_type, arguments.exc_value, arguments.exc_traceback)
        logging.getLogger(__name__).error("a thread has ended", exc_info=error, extra={"thread_name": name})


def _time(record: logging.LogRecord) -> str:
    return write_time(datetime.fromtimestamp(record.created, UTC))


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    """What the event says of itself."""
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


def _quoted(value: object) -> str:
    text = str(value)
    return repr(text) if any(letter.isspace() for letter in text) or not text else text
