"""One line an event, for every process: time, level, logger, message, then the event's facts as key=value."""

import logging
from datetime import UTC, datetime

from pixmill.times import write_time

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class LineFormatter(logging.Formatter):
    """Formats `log.info("lease expired", extra={"task": 3})` as `… lease expired task=3`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; a traceback follows on lines of its own."""
        at = write_time(datetime.fromtimestamp(record.created, UTC))
        facts = "".join(f" {key}={_quoted(value)}" for key, value in vars(record).items() if key not in _STANDARD)
        line = f"{at} {record.levelname:<7} {record.name} {record.getMessage()}{facts}"
        if record.exc_info:
            line += f"\n{self.formatException(record.exc_info)}"
        return line


def log_to_stderr(level: int = logging.INFO) -> None:
    """Send all records of this process to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)


def _quoted(value: object) -> str:
    text = str(value)
    return repr(text) if any(letter.isspace() for letter in text) or not text else text
