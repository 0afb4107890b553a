"""The device process: owns one device, keeps its models warm, runs one task at a time, knows no database.

Started by exec with CUDA_VISIBLE_DEVICES set, before torch is imported. Dies with its parent, and by itself after a
failure that may have spoilt its CUDA context: then the answer says `ends`.
"""

import argparse
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from pixmill.errors import PixmillError
from pixmill.interpreter import begin_quickly
from pixmill.logs import log_to_stderr
from worker.assignment import Assignment
from worker.channel import Channel
from worker.device.pinning import hold_device, parse_device

log = logging.getLogger("job")

DEVICE_SPOILED = 75  # exit status: try again, with a new process
IDLE_HANDS_SECONDS = 30.0  # for which they wait for the next generate task


def main() -> None:
    """Entry point of `python -m worker.device.process`."""
    begin_quickly()
    arguments = _arguments()
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
    parser.add_argument("--lock", type=Path, required=True)
    return parser.parse_args()


class DeviceProcess:
    """Reads assignments, runs them, and says how they ended."""

    def __init__(self, channel: Channel, device: str, threads: int) -> None:
        import worker.device.attempt  # noqa: F401  all job kinds now, so that the first task need not wait for them
        from worker.device.facts import device_facts, prepare_torch
        from worker.device.warm import WarmModels

        self._channel = channel
        self._is_told_to_stop = False
        kind, _number = parse_device(device)
        prepare_torch(threads)
        self._warm = WarmModels(kind, threads)
        channel.send({"say": "hello", **device_facts(device)})

    def serve(self) -> None:
        """Work until the parent closes the line."""
        hands = self._warm.hands
        while True:
            message = self._next_order(IDLE_HANDS_SECONDS if hands and hands.are_alive else None)
            if hands and (message is None or not _needs_hands(message)):
                hands.end()
            if message is not None and message["do"] == "run":
                self._run(Assignment.from_json(message["assignment"]))

    def _next_order(self, seconds: float | None) -> dict[str, Any] | None:
        message = self._channel.receive(seconds)
        if message is None and self._channel.is_at_end:
            os._exit(0)  # the parent is gone or has given up on this process
        return message

    def _should_stop(self) -> bool:
        """Whether the parent has asked for the end of the running attempt; it sends nothing else meanwhile."""
        self._is_told_to_stop = self._is_told_to_stop or self._next_order(0.0) is not None
        return self._is_told_to_stop

    def _run(self, assignment: Assignment) -> None:
        from worker.device.attempt import run_attempt
        from worker.device.desk import Desk

        self._is_told_to_stop = False
        ending = run_attempt(Desk(assignment, self._channel, self._should_stop), self._warm)
        answer = {**ending.answer, "task_id": assignment.task_id, "epoch": assignment.epoch}
        self._channel.send({**answer, "ends": True} if ending.is_device_spoiled else answer)
        if ending.is_device_spoiled:
            log.warning("the device may be unusable in this process: another one is needed")
            os._exit(DEVICE_SPOILED)


def _needs_hands(message: dict[str, Any]) -> bool:
    return bool(message["do"] == "run" and message["assignment"]["role"] == "generate")


if __name__ == "__main__":
    main()
