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
from pixmill.interpreter import begin_quickly, importing
from pixmill.logs import log_to_stderr, name_process
from worker.assignment import Assignment
from worker.channel import Channel
from worker.device.orders import RANK_LOST, Orders
from worker.device.pinning import hold_device
from worker.device.slots import parse_slot

log = logging.getLogger("job")

DEVICE_SPOILED = 75  # exit status: try again, with a new process
IDLE_HELPERS_SECONDS = 30.0  # for which hands or scribes wait for the next generate task
BESIDE_HELPERS = ("generate", "assemble")  # roles of tasks; others want the memory and the cores to themselves


def main() -> None:
    """Entry point of `python -m worker.device.process`."""
    begin_quickly()
    arguments = _arguments()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, and the parent tells this process
    log_to_stderr()
    name_process(device=arguments.device)
    channel = Channel(socket.socket(fileno=arguments.socket))
    try:
        for lock in arguments.lock:
            hold_device(lock)
        meeting = arguments.lock[0].with_suffix(".ranks")  # the lock's holder has it to itself
        process = DeviceProcess(channel, arguments, meeting)
    except PixmillError as error:
        channel.send({"say": "refused", "message": error.message, "hint": error.hint})
        sys.exit(error.exit_code)
    process.serve()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="worker.device.process")
    parser.add_argument("--device", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--encoders", type=int, required=True)
    parser.add_argument("--socket", type=int, required=True)
    parser.add_argument("--lock", type=Path, required=True, action="append", help="of each device")
    return parser.parse_args()


class DeviceProcess:
    """Reads assignments, runs them, and says how they ended."""

    def __init__(self, channel: Channel, arguments: argparse.Namespace, meeting: Path) -> None:
        with importing():
            import worker.device.attempt  # noqa: F401  all job kinds now: the first task need not wait for them
            from worker.device.facts import device_facts, prepare_torch
            from worker.device.warm import WarmModels

        self._channel = channel
        self._orders = Orders(channel)
        self._meeting = meeting
        kind, numbers = parse_slot(arguments.device)
        self._threads_each = max(1, arguments.threads // len(numbers))
        prepare_torch(arguments.threads)
        self._warm = WarmModels(kind, arguments.threads, most_scribes=arguments.encoders)
        channel.send({"say": "hello", **device_facts(arguments.device)})

    def serve(self) -> None:
        """Work until the parent closes the line."""
        helpers = self._warm.helpers
        while True:
            message = self._orders.next(IDLE_HELPERS_SECONDS if helpers and helpers.are_alive else None)
            if helpers and (message is None or not _leaves_room_for_helpers(message)):
                helpers.end()
            if message is not None and message["do"] == "run":
                self._run(Assignment.from_json(message["assignment"]))

    def _run(self, assignment: Assignment) -> None:
        from worker.device.attempt import run_attempt
        from worker.device.desk import Desk

        self._orders.begin()
        if assignment.devices > 1:
            return self._run_on_several(assignment)
        ending = run_attempt(Desk(assignment, self._channel, self._orders.should_stop), self._warm)
        self._channel.send(ending.told(assignment))
        if ending.is_device_spoiled:
            log.warning("the device may be unusable in this process: another one is needed")
            os._exit(DEVICE_SPOILED)
        return None

    def _run_on_several(self, assignment: Assignment) -> None:
        """Let ranks of this task speak to the parent until they end; without their answer this process ends too."""
        from worker.device.launch import Launcher

        self._warm.forget()
        launcher = Launcher(self._warm.device, self._threads_each, self._meeting)
        loss = launcher.run(assignment, self._channel, self._orders)
        if loss is not None:
            log.error("the attempt is lost: %s", loss)
            os._exit(RANK_LOST)


def _leaves_room_for_helpers(message: dict[str, Any]) -> bool:
    """Whether what is to be done now needs them, or is soon done and needs little memory itself."""
    return message["do"] == "run" and message["assignment"]["role"] in BESIDE_HELPERS


if __name__ == "__main__":
    main()
