"""Homes with short paths, and the `pixmill` command as a process of its own."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from pixmill.settings import Settings, load_settings
from tests.waiting import is_alive

ROOT = Path(__file__).parents[2]
_numbers = itertools.count()


@pytest.fixture
def home(short_folder: Path) -> Iterator[Path]:
    """A folder for one test's home, with a path short enough for a socket; nothing may be left running on it."""
    path = short_folder / f"home{next(_numbers)}"
    yield path
    left = processes_of(path)
    for process in left:
        process.kill()
    assert not left, f"left running: {left}"


@pytest.fixture
def settings(home: Path) -> Settings:
    """The settings of that home."""
    return load_settings(flags={"home": home})


def processes_of(home: Path) -> list[psutil.Process]:
    """All living processes with the home in their command line, and their children."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        try:
            if any(str(home) in word for word in process.cmdline()):
                found |= {one.pid: one for one in (process, *process.children(recursive=True))}
        except psutil.NoSuchProcess:
            continue
    return [process for process in found.values() if is_alive(process)]


@dataclass(frozen=True)
class Pixmill:
    """Calls `pixmill` for one home."""

    home: Path
    variables: dict[str, str]

    def __call__(self, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "cli", "--home", str(self.home), *arguments],
            capture_output=True,
            check=False,
            text=True,
            cwd=ROOT,
            env=self.variables | variables,
            timeout=150,
        )

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a command without waiting for its end."""
        return subprocess.Popen(
            [sys.executable, "-m", "cli", "--home", str(self.home), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env=self.variables,
        )


def clean_variables() -> dict[str, str]:
    """Our environment without any setting of pixmill's."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PIXMILL_")}


@pytest.fixture
def pixmill(home: Path) -> Pixmill:
    """The command for this test's home."""
    return Pixmill(home, clean_variables())


@pytest.fixture
def fake_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a `valkey-server` first on PATH: a shell script that runs the given lines."""

    def put(lines: str) -> None:
        program = tmp_path / "bin" / "valkey-server"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{lines}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")

    return put
