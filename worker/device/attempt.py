"""One attempt from its assignment to the answer."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pixmill.crashpoints import CrashPoint, reach
from pixmill.errors import PixmillError
from pixmill.logs import LineFormatter, about
from pixmill.states import FailureReason
from storage.faults import named_faults
from storage.joblogs import PieceHandler
from worker.assignment import Assignment
from worker.device.desk import Desk, StopRequested
from worker.device.failures import explain, is_expected
from worker.device.kinds import KINDS, Kind
from worker.device.warm import WarmModels

log = logging.getLogger("job")

RESULT_FILE = "result.json"


@dataclass(frozen=True)
class Ending:
    """What to answer, and whether the device may be unusable in this process from now on."""

    answer: dict[str, Any]
    is_device_spoiled: bool = False

    def told(self, assignment: Assignment) -> dict[str, Any]:
        """What the parent is told; `ends`: that the process is not to be used any more."""
        answer = {**self.answer, "task_id": assignment.task_id, "epoch": assignment.epoch}
        return {**answer, "ends": True} if self.is_device_spoiled else answer


def run_attempt(desk: Desk, warm: WarmModels) -> Ending:
    """Do what the assignment says; whatever it raises is the attempt's failure, not this process's."""
    with about(**desk.assignment.log_facts()):
        return _run_attempt(desk, warm)


def _run_attempt(desk: Desk, warm: WarmModels) -> Ending:
    try:
        kind = KINDS[desk.assignment.role]
        with _log_of(desk, kind):
            return Ending(_work_with_files(desk, warm, kind) if kind.has_files else _work(desk, warm, kind))
    except StopRequested:
        return Ending({"say": "stopped"})
    except Exception as error:  # noqa: BLE001  whatever a task raises is the task's failure, not the worker's
        reason, message = explain(error)
        answer = {"say": "failed", "reason": reason, "message": message, "hint": getattr(error, "hint", None)}
        return Ending(answer, spoils_device(warm.device, error))
    finally:
        _clear(desk)


def _clear(desk: Desk) -> None:
    """Remove what was fetched; what resists changes nothing of how the work ended, and garbage collection finds it."""
    try:
        desk.close()
    except PixmillError as error:
        log.warning("what was fetched from the bucket stays: %s", error)


def spoils_device(device: str, error: BaseException) -> bool:
    """Whether a CUDA context cannot be trusted after this error: after a surprise, or when its memory ran out.

    A fault in a kernel is reported by whatever is called next, and stays with the context for ever; only a new
    process has a new one.
    """
    is_surprise = not is_expected(error)
    return device == "cuda" and (is_surprise or explain(error)[0] is FailureReason.OUT_OF_MEMORY)


def _work(desk: Desk, warm: WarmModels, kind: Kind) -> dict[str, Any]:
    return {"say": "succeeded", "result": kind.run(desk, warm)}


def _work_with_files(desk: Desk, warm: WarmModels, kind: Kind) -> dict[str, Any]:
    """Work, and leave journal, log and result behind.  Raises what the work raises."""
    assignment = desk.assignment
    log.info("%s task of job %d, attempt %d, begins", assignment.role, assignment.job_id, assignment.epoch)
    try:
        desk.journal_begin(warm.device)
        reach(CrashPoint.DEVICE_BEGUN)
        answer = _work(desk, warm, kind)
        desk.write_json(RESULT_FILE, answer["result"])
        reach(CrashPoint.DEVICE_WROTE_RESULT)
    except StopRequested:
        log.info("stopped as asked")
        _end_journal(desk, "stopped")
        raise
    except Exception as error:
        # The traceback belongs into the attempt's own log, so this one is caught while that is open.
        log.error("failed: %s", explain(error)[1], exc_info=None if is_expected(error) else error)
        _end_journal(desk, "failed", explain(error)[0])
        raise
    log.info("done")
    _end_journal(desk, "succeeded")
    return answer


def _end_journal(desk: Desk, how: str, reason: FailureReason | None = None) -> None:
    try:
        desk.journal.add("end", how=how, reason=reason)
    except PixmillError as error:  # what is to be told is how the work ended, not how its journal did
        log.warning("the journal has no end: %s", error)
    desk.journal.close()


@contextmanager
def _log_of(desk: Desk, kind: Kind) -> Iterator[None]:
    """Send what is logged meanwhile to the attempt's log.txt, too; of a kind without files only warnings and errors."""
    handler = _log_file(desk) if kind.has_files else _WarningFile(desk)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()


def _log_file(desk: Desk) -> logging.Handler:
    with named_faults(desk.folder):
        desk.folder.mkdir(parents=True, exist_ok=True)
        handler = PieceHandler(desk.folder, desk.assignment.log_bytes)
    handler.setFormatter(LineFormatter())
    return handler


class _WarningFile(logging.Handler):
    """A log.txt that is made for the first warning."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(logging.WARNING)
        self._desk = desk
        self._file: logging.Handler | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record."""
        try:
            self._file = self._file or _log_file(self._desk)
            self._file.emit(record)
        except PixmillError:
            self.handleError(record)  # as every handler of the standard library does: says so on stderr

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()
        super().close()
