"""I5: what runs for a home, and what is left when nothing should."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.faults.violation import Invariant, Violation
from tests.waiting import is_alive


def stands_still(pid: int) -> bool:
    """Whether every thread of it has stopped; SIGSTOP takes a moment to reach them all."""
    files = Path(f"/proc/{pid}/task").glob("*/stat")
    return all(file.read_text().rpartition(")")[2].split()[0] == "T" for file in files)


def processes_of(home: Path) -> Iterator[psutil.Process]:
    """Processes whose command line names something in this home."""
    for process in psutil.process_iter():
        try:
            if any(str(home) in word for word in process.cmdline()) and process.pid != os.getpid():
                yield process
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue


def left_behind(home: Path) -> list[Violation]:
    """I5: no process of this home, and no lock that somebody holds."""
    found = [
        Violation(Invariant.PROCESSES, f"process {process.pid} is left: {' '.join(process.cmdline())}")
        for process in processes_of(home)
        if is_alive(process)
    ]
    for path in sorted((home / "run").glob("*.lock")):
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                found.append(Violation(Invariant.PROCESSES, f"somebody holds {path.name}"))
    return found
