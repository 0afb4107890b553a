"""A process that is kept alive: started, watched, started again."""

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cli.local.processes import ProcessMark, send_signal
from cli.local.record import ChildRecord, Role
from pixmill.errors import PixmillError

log = logging.getLogger(__name__)

FIRST_PAUSE = 0.2  # seconds before the first restart; doubled with every further one
LONGEST_PAUSE = 10.0
GOOD_LIFE = 60.0  # seconds after which a death counts as the first again


@dataclass
class Backoff:
    """How long to wait before the next start, from how long the starts before it lived."""

    pause_seconds: float = FIRST_PAUSE

    def next_pause(self, lived_seconds: float) -> float:
        """The pause after a life of `lived_seconds`.

        >>> backoff = Backoff()
        >>> [backoff.next_pause(1.0) for _ in range(7)]
        [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0]
        >>> backoff.next_pause(61.0)
        0.2
        """
        if lived_seconds >= GOOD_LIFE:
            self.pause_seconds = FIRST_PAUSE
        pause = self.pause_seconds
        self.pause_seconds = min(LONGEST_PAUSE, 2 * pause)
        return pause


@dataclass
class Child:
    """One process of the supervisor's, whether it runs at the moment or not."""

    name: str
    role: Role
    log: Path
    spawn: Callable[[], "subprocess.Popen[bytes]"]
    backoff: Backoff = field(default_factory=Backoff)
    process: "subprocess.Popen[bytes] | None" = None
    pidfd: int = -1  # readable once the process has ended
    mark: ProcessMark | None = None
    started_at: float = 0.0  # time.monotonic()
    due_at: float = 0.0  # when to start next, while no process runs
    exits: int = 0
    last_exit: str | None = None

    @property
    def is_running(self) -> bool:
        """Whether there is a process whose end has not been taken in."""
        return self.process is not None

    def start(self) -> bool:
        """Try to start the process; gives whether it runs. A failure counts as a death, and is logged."""
        self.started_at = time.monotonic()
        try:
            self.process = self.spawn()
        except (PixmillError, OSError) as error:
            self._note_end(f"could not be run: {error}")
            return False
        self.pidfd = os.pidfd_open(self.process.pid)
        self.mark = ProcessMark.of(self.process.pid)
        log.info("started", extra={"action": "start", "child": self.name, "pid": self.process.pid})
        return True

    def take_in_end(self, *, expected: bool) -> None:
        """Note that the process has ended (its pidfd is readable), and unless that was wanted, when to start again."""
        assert self.process is not None
        how = exit_text(self.process.wait())
        self.process, self.mark = None, None
        os.close(self.pidfd)
        if expected:
            log.info("stopped", extra={"action": "end", "child": self.name, "how": how})
        else:
            self._note_end(how)

    def signal(self, number: signal.Signals) -> None:
        """Signal the process, if there is one."""
        if self.process is not None:
            send_signal(self.pidfd, number)

    def _note_end(self, how: str) -> None:
        pause = self.backoff.next_pause(time.monotonic() - self.started_at)
        self.due_at = time.monotonic() + pause
        self.exits += 1
        self.last_exit = how
        facts = {"action": "end", "child": self.name, "how": how, "next_start_in": f"{pause:g}s"}
        log.warning("not running", extra=facts)

    def record(self) -> ChildRecord:
        """What others may know about it."""
        return ChildRecord(
            name=self.name,
            role=self.role,
            log=str(self.log),
            mark=self.mark,
            exits=self.exits,
            last_exit=self.last_exit,
        )


def exit_text(code: int) -> str:
    """How a process ended, from Popen's return code.

    >>> exit_text(1), exit_text(-9)
    ('ended with code 1', 'was ended by SIGKILL')
    """
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal has no name
        return f"was ended by signal {-code}"
