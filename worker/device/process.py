"""The device process: owns one device, keeps its models warm, runs one task at a time, knows no database.

Started by exec with CUDA_VISIBLE_DEVICES set, before torch is imported. Dies with its parent.
"""

import argparse
import logging
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixmill.errors import PixmillError
from pixmill.logs import LineFormatter, log_to_stderr
from storage.faults import named_faults
from worker.assignment import Assignment
from worker.channel import Channel
from worker.device.pinning import die_with_parent, hold_device, parse_device

if TYPE_CHECKING:
    from worker.device.desk import Desk

log = logging.getLogger("job")


def main() -> None:
    """Entry point of `python -m worker.device.process`."""
    arguments = _arguments()
    die_with_parent(arguments.parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, and the parent tells this process
    log_to_stderr()
    channel = Channel(socket.socket(fileno=arguments.socket))
    try:
        hold_device(arguments.lock)
        process = DeviceProcess(channel, arguments.device, arguments.threads)
    except PixmillError as error:
        channel.send({"say": "refused", "message": error.message, "hint": error.hint})
        sys.exit(error.exit_code)
    process.serve()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="worker.device.process")
    parser.add_argument("--device", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--socket", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--lock", type=Path, required=True)
    return parser.parse_args()


class DeviceProcess:
    """Reads assignments, runs them, and says how they ended."""

    def __init__(self, channel: Channel, device: str, threads: int) -> None:
        from worker.device.facts import device_facts, prepare_torch
        from worker.device.warm import WarmModels

        self._channel = channel
        self._stop = threading.Event()
        self._assignments: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        kind, _number = parse_device(device)
        prepare_torch(threads)
        self._warm = WarmModels(kind, threads)
        channel.send({"say": "hello", **device_facts(device)})

    def serve(self) -> None:
        """Work until the parent closes the line."""
        threading.Thread(target=self._listen, name="listen", daemon=True).start()
        while (values := self._assignments.get()) is not None:
            self._run(Assignment.from_json(values))

    def _listen(self) -> None:
        for message in self._channel.messages():
            match message["do"]:
                case "run":
                    self._stop.clear()
                    self._assignments.put(message["assignment"])
                case "stop":
                    self._stop.set()
                case other:
                    log.error("unknown request %r", other)
        # The line is closed: the parent is gone or has given up on this process.
        os._exit(0)

    def _run(self, assignment: Assignment) -> None:
        from worker.device.desk import Desk, StopRequested
        from worker.device.failures import explain, is_expected

        desk = Desk(assignment, self._channel, self._stop)
        try:
            with _attempt_log(desk.folder):
                try:
                    answer: dict[str, Any] = {"say": "succeeded", "result": self._work(desk)}
                except StopRequested:
                    log.info("stopped as asked")
                    answer = {"say": "stopped"}
                except Exception as error:
                    # The traceback belongs into the attempt's own log, so this one is caught inside it.
                    log.error("failed: %s", explain(error)[1], exc_info=None if is_expected(error) else error)
                    raise
        except Exception as error:  # noqa: BLE001  whatever a task raises is the task's failure, not the worker's
            reason, message = explain(error)
            answer = {"say": "failed", "reason": reason, "message": message, "hint": getattr(error, "hint", None)}
        self._channel.send({**answer, "task_id": assignment.task_id, "epoch": assignment.epoch})

    def _work(self, desk: "Desk") -> dict[str, Any]:
        from worker.device.kinds import KINDS

        assignment = desk.assignment
        log.info("%s task of job %d, attempt %d, begins", assignment.role, assignment.job_id, assignment.epoch)
        result = KINDS[assignment.role](desk, self._warm)
        desk.write_json("result.json", result)
        log.info("done")
        return result


@contextmanager
def _attempt_log(folder: Path) -> Iterator[None]:
    """Send what is logged meanwhile to the attempt's log.txt, too."""
    with named_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(folder / "log.txt", encoding="utf-8")
    handler.setFormatter(LineFormatter())
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


if __name__ == "__main__":
    main()
