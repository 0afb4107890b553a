"""The parent's handle on its device process: start it, talk to it, end it, replace it after a crash."""

import logging
import os
import re
import socket
import subprocess
import threading
from functools import partial
from pathlib import Path
from typing import Any

from pixmill.errors import PixmillError, Unavailable
from pixmill.interpreter import python_command, with_our_code
from pixmill.logs import FORMAT
from worker.assignment import Assignment
from worker.channel import Channel
from worker.device.orders import RANK_LOST
from worker.device.pinning import die_with_parent, environment_for
from worker.device.slots import members

log = logging.getLogger(__name__)

START_SECONDS = 120.0  # importing torch from a cold disk, and starting CUDA
END_SECONDS = 5.0


class DeviceProcessRefused(PixmillError):
    """The device process found that it cannot work: no such device, or somebody else holds it."""


class DeviceProcess:
    """One running device process, of one device or several.  Raises UserError for a name that is no device's.

    The thread that starts it also reaps it: the kernel's death signal is bound to the thread that forked, so that
    thread must outlive the process.
    """

    def __init__(self, device: str, threads: int, *locks: Path, encoders: int = 0) -> None:
        self.device = device
        self.threads = threads
        self.encoders = encoders
        self._locks = locks
        # A process that was told no format is no service, but a command that a person has called.
        self._environment = {FORMAT: "text", **with_our_code(environment_for(device, threads))}
        ours, self._theirs = socket.socketpair()
        self._channel = Channel(ours)
        self._started = threading.Event()
        self._ended = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self.ended_with: str | None = None
        threading.Thread(target=self._live, name=f"device {device}", daemon=True).start()
        self._started.wait()

    def wait_ready(self) -> dict[str, Any]:
        """What the process says about its device, once torch is imported.

        Raises DeviceProcessRefused, or Unavailable when it dies or takes too long.
        """
        message = self.receive(START_SECONDS)
        if message is None:
            self.kill()
            raise Unavailable(f"the process of device {self.device} did not start: {self.ended_with or 'too slow'}")
        if message["say"] == "refused":
            raise DeviceProcessRefused(message["message"], hint=message["hint"])
        return message

    def run(self, assignment: Assignment) -> None:
        """Hand over an attempt; what it says arrives through `receive`."""
        self._send({"do": "run", "assignment": assignment.to_json()})

    def ask_to_stop(self) -> None:
        """Ask the running attempt to end at its next safe point."""
        self._send({"do": "stop"})

    def receive(self, seconds: float) -> dict[str, Any] | None:
        """The next message; None when none came in time, or the process has ended (see `is_heard`)."""
        message = self._channel.receive(max(0.0, seconds))
        if message is None and self._channel.is_at_end:
            self._ended.wait(seconds)  # the kernel closes its line a moment before it can be reaped
        return message

    def listen(self, seconds: float) -> None:
        """Wait; what the process says meanwhile is kept for `receive`, so that it can work on."""
        self._channel.listen(seconds)

    def wake(self) -> None:
        """Let `receive` and `listen` return at once, as if its time were over; safe in a signal handler."""
        self._channel.wake()

    @property
    def is_running(self) -> bool:
        """Whether the process still runs."""
        return self.ended_with is None

    @property
    def is_heard(self) -> bool:
        """Whether the process still runs, or has said something before its end that was not read yet."""
        return self.is_running or self._channel.has_message()

    def kill(self) -> None:
        """End the process at once; returns when the kernel has freed what it held."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
        self._wait_end()

    def close(self) -> None:
        """Let the process end by itself, kill it if it does not, and free what belongs to it."""
        self._channel.shut()
        self._wait_end()
        self.kill()
        self._channel.close()

    def _wait_end(self) -> None:
        self._ended.wait(END_SECONDS)

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._channel.send(message)
        except OSError:
            log.warning("device process is gone", extra={"device": self.device})  # `receive` tells the rest

    def _live(self) -> None:
        try:
            with self._theirs:
                self._process = self._spawn(self._theirs.fileno())
        except (OSError, subprocess.SubprocessError) as error:
            self.ended_with = f"not started: {getattr(error, 'strerror', None) or error}"
        self._started.set()
        if self._process is not None:
            self.ended_with = _how(self._process.wait())
        self._ended.set()
        self.wake()  # whoever waits for what it will say

    def _spawn(self, descriptor: int) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self._command(descriptor),
            env=self._environment,
            pass_fds=(descriptor,),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            # Before exec: on a busy machine it takes an interpreter seconds to come to its first line.
            preexec_fn=partial(die_with_parent, os.getpid()),  # noqa: PLW1509  it loads and locks nothing
        )

    def _command(self, descriptor: int) -> list[str]:
        options = [
            ("--device", self.device),
            ("--threads", str(self.threads)),
            ("--encoders", str(self.encoders)),
            ("--socket", str(descriptor)),
            *(("--lock", str(lock)) for lock in self._locks),
        ]
        words = (word for pair in options for word in pair)
        return python_command("-m", "worker.device.process", *words)


def lock_path(run_folder: Path, device: str) -> Path:
    """The file whose lock means "this device is in use"."""
    return run_folder / f"device-{re.sub('[^a-z0-9]', '-', device)}.lock"


def lock_paths(run_folder: Path, device: str) -> list[Path]:
    """The lock of each device that a worker of this name owns."""
    return [lock_path(run_folder, member) for member in members(device)]


def _how(status: int) -> str:
    if status == RANK_LOST:
        return "ended: a process of another of its devices is gone (the worker's log names it)"
    return f"killed by signal {-status}" if status < 0 else f"ended with status {status}"
