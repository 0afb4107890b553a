"""Runs a piece of the product on cases that nobody would think of, and writes down what must not happen.

A case fails on an exception that is none of the product's own, on a traceback in what is printed or logged, on a write
outside the folder that it may write to, on a program that it starts or a line that it opens to another machine, and on
taking too much time or memory. Nothing is shrunk: what fails is shown as it is, cut to a few hundred characters.
"""

import faulthandler
import io
import logging
import os
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.draw import Cases

MOST_SECONDS = 5.0  # of processor time, of one case
MOST_GROWTH = 600_000  # KiB by which one case may lift the most memory that this process has ever had
HANG_SECONDS = 900.0  # by the clock, of a hundred cases
SHOWN_LETTERS = 400

Act = Callable[[Any], None]
Prepare = Callable[[Path], AbstractContextManager[Act]]


@dataclass(frozen=True, kw_only=True)
class Target:
    """A piece of the product.

    share    of a hundred thousand cases, how many are its own
    prepare  makes what it needs below a folder, and gives what is done with each case
    allowed  the errors that it is documented to raise
    """

    name: str
    share: int
    cases: Cases
    prepare: Prepare
    allowed: tuple[type[BaseException], ...]


@dataclass
class Tally:
    """What became of a target's cases."""

    cases: int = 0
    refused: int = 0  # ended with an error of the product's own
    seconds: float = 0.0
    slowest: float = 0.0  # seconds of processor time
    findings: list[dict[str, Any]] = field(default_factory=list)


class Refused(Exception):
    """The product has said no, as it should: counted, and nothing else."""


class Wrong(Exception):
    """What a target itself finds wrong with an answer."""


_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod")
_PROGRAMS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork")


class _Guard:
    """Hears of every file that is opened to be written, and of programs and lines, while a case runs."""

    def __init__(self) -> None:
        self.allowed: tuple[str, ...] = ()
        self.is_on = False
        self.seen: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.is_on:
            return
        if event == "open":
            path, mode, flags = arguments
            writes = any(letter in mode for letter in "wax+") if isinstance(mode, str) else bool(flags & _WRITING)
            if writes:
                self._judge(event, path)
        elif event in _CHANGES:
            self._judge(event, arguments[1] if event in ("os.rename", "os.link", "os.symlink") else arguments[0])
        elif event in _PROGRAMS:
            self.seen.append(f"{event} {arguments!r}")
        elif event == "socket.connect" and isinstance(arguments[1], tuple):
            self.seen.append(f"{event} {arguments[1]!r}")

    def _judge(self, event: str, path: Any) -> None:
        if isinstance(path, int):
            return
        text = os.path.realpath(os.fsdecode(path))
        if not f"{text}/".startswith(self.allowed) and text != os.devnull:
            self.seen.append(f"{event} {text}")


class _Ears(logging.Handler):
    """Hears of tracebacks in the log."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what a record says of an exception."""
        if record.exc_info and record.exc_info[1] is not None:
            self.heard.append("".join(traceback.format_exception(record.exc_info[1])))


_guard: _Guard | None = None


def run_target(target: Target, cases: int, first_seed: int, folder: Path) -> Tally:
    """Run so many cases of a target in a folder that holds nothing else; the same seed gives the same cases."""
    global _guard
    _guard = _guard or _Guard()
    sys.dont_write_bytecode = True
    outside, inside = folder / "outside", folder / "inside"
    for each in (outside, inside):
        each.mkdir(parents=True)
    (outside / "sentinel").write_text("stays as it is")
    (outside / "secret").write_text("root:x:0:0")
    # What may be written goes where a case may write.
    for name in ("TMPDIR", "TORCHINDUCTOR_CACHE_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        os.environ[name] = str(inside)
    tempfile.tempdir = str(inside)
    tally = Tally()
    began = time.monotonic()
    with target.prepare(inside) as act:
        judge = _Judge(target, act, _guard, tally, inside)
        before = _tree(folder, inside)
        random = Random(f"{target.name} {first_seed}")
        for _ in range(cases):
            judge(target.cases.draw(random))
        if _tree(folder, inside) != before:
            judge.note("files outside have changed", None, str(folder))
    tally.seconds = round(time.monotonic() - began, 1)
    return tally


def _tree(folder: Path, but: Path) -> list[tuple[str, int, int]]:
    paths = (path for path in sorted(folder.rglob("*")) if but not in (path, *path.parents))
    return [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]


class _Judge:
    def __init__(self, target: Target, act: Act, guard: _Guard, tally: Tally, inside: Path) -> None:
        self.target, self.act, self.guard, self.tally = target, act, guard, tally
        self.guard.allowed = (f"{os.path.realpath(inside)}/",)

    def __call__(self, case: Any) -> None:
        """Run one case."""
        if self.tally.cases % 100 == 0:
            faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
        self.tally.cases += 1
        printed, memory = io.StringIO(), _most_memory()
        with _listening() as ears, redirect_stdout(printed), redirect_stderr(printed):
            began = time.process_time()
            error = self._error_of(case)
            seconds = time.process_time() - began
        self.tally.slowest = max(self.tally.slowest, round(seconds, 3))
        if error is not None and not isinstance(error, (*self.target.allowed, Refused)):
            self.note(f"{type(error).__name__}", case, "".join(traceback.format_exception(error)))
        elif error is not None:
            self.tally.refused += 1
        if "Traceback (most recent call last)" in printed.getvalue():
            self.note("a traceback is printed", case, printed.getvalue())
        for heard in ears.heard:
            self.note("a traceback is logged", case, heard)
        for seen in self.guard.seen:
            self.note("it reaches out", case, seen)
        self.guard.seen.clear()
        if seconds > MOST_SECONDS:
            self.note(f"{seconds:.1f} seconds", case, "")
        if _most_memory() - memory > MOST_GROWTH:
            self.note(f"{(_most_memory() - memory) / 1e6:.1f} GB of memory", case, "")

    def _error_of(self, case: Any) -> BaseException | None:
        self.guard.is_on = True
        try:
            self.act(case)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  whatever it is, it is what is looked for
            return error
        finally:
            self.guard.is_on = False
        return None

    def note(self, what: str, case: Any, details: str) -> None:
        """Write down what must not happen; of many alike some will do."""
        lines = details.strip().splitlines()
        where = next((line.strip() for line in reversed(lines) if line.startswith("  File ")), "")
        if what == "Wrong":
            where = lines[-1].partition("(")[0]
        known = next((found for found in self.tally.findings if (found["what"], found["where"]) == (what, where)), None)
        if known is not None:
            known["times"] += 1
            return
        last = lines[-1][:SHOWN_LETTERS] if lines else ""
        found = {"what": what, "where": where, "times": 1, "last": last, "case": repr(case)[:SHOWN_LETTERS]}
        self.tally.findings.append({**found, "details": details[-3000:]})


@contextmanager
def _listening() -> Iterator[_Ears]:
    ears, root = _Ears(), logging.getLogger()
    root.addHandler(ears)
    try:
        yield ears
    finally:
        root.removeHandler(ears)


def _most_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
