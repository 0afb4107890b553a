"""Processes of this host: start them so that they die with their parent, recognise them, wait for their end."""

import ctypes
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

_PR_SET_PDEATHSIG = 1
_START_TICKS_FIELD = 19  # of /proc/PID/stat, counted from behind the command's closing bracket


@dataclass(frozen=True)
class ProcessMark:
    """A process told apart from a later one that was given the same pid."""

    pid: int
    start_ticks: int  # since the host booted

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The mark of a living process; None when there is none, or only a zombie."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else cls(pid, int(fields[_START_TICKS_FIELD]))

    def is_alive(self) -> bool:
        """Whether this very process still runs."""
        return type(self).of(self.pid) == self

    def open(self) -> int | None:
        """A pidfd that becomes readable when the process ends, for the caller to close; None when it has ended."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        if self.is_alive():  # asked after the opening: from here on the descriptor cannot mean another process
            return descriptor
        os.close(descriptor)
        return None


def spawn_bound(
    command: Sequence[str], output: IO[bytes], environment: Mapping[str, str], keep_open: tuple[int, ...] = ()
) -> "subprocess.Popen[bytes]":
    """Start a process in a session of its own, which gets SIGTERM when the calling process dies.

    Must be called by the main thread: the kernel watches the thread that forks.  Raises OSError.
    """
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
        pass_fds=keep_open,
        start_new_session=True,  # Ctrl-C at a terminal must reach the supervisor alone
        preexec_fn=_terminate_with(os.getpid()),  # noqa: PLW1509  the caller has one thread
    )


def _terminate_with(parent_pid: int) -> Callable[[], None]:
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # looked up before the fork, where little is safe to do

    def act() -> None:
        if prctl(_PR_SET_PDEATHSIG, signal.SIGTERM) != 0 or os.getppid() != parent_pid:
            os._exit(1)  # nobody would be there to stop it

    return act


def spawn_detached(command: Sequence[str], output: IO[bytes], environment: Mapping[str, str]) -> int:
    """Start a process that outlives the caller and its terminal; gives its pid.  Raises OSError."""
    null = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    streams = [null, *((os.POSIX_SPAWN_DUP2, output.fileno(), number) for number in (1, 2))]
    return os.posix_spawn(command[0], list(command), environment, file_actions=streams, setsid=True)


def send_signal(pidfd: int, number: signal.Signals) -> None:
    """Signal the process behind a pidfd; one that has ended takes no notice."""
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return


def wait_until_ended(marks: Iterable[ProcessMark], timeout_seconds: float) -> list[ProcessMark]:
    """Wait until the processes have ended, or the time is up; gives those that still run."""
    deadline = time.monotonic() + timeout_seconds
    with ExitStack() as stack:
        running: dict[int, ProcessMark] = {}
        poll = select.poll()
        for mark in marks:
            descriptor = mark.open()
            if descriptor is not None:
                stack.callback(os.close, descriptor)
                running[descriptor] = mark
                poll.register(descriptor, select.POLLIN)
        while running:
            ended = poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
            if not ended:
                break
            for descriptor, _ in ended:
                poll.unregister(descriptor)
                del running[descriptor]
        return list(running.values())
