"""Run the command: in this process, in another one, and on a terminal of a given width."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from cli.main import command
from tests.cli.envelopes import check_envelope

REPOSITORY = Path(__file__).parents[2]
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def at_once(text: str) -> str:
    """The text as if no second had passed: how many do depends on what else the machine does."""
    return re.sub(r"\b\d{1,2}s\b", "0s", text)


@dataclass(frozen=True)
class Outcome:
    """What a command line left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


Runner = Callable[..., Outcome]


class Run:
    """The command in this process, with its output in pipes."""

    def invoke(self, *args: object, stdin: str | None = None, **variables: str) -> Outcome:
        result = CliRunner().invoke(
            command, [str(arg) for arg in args], input=stdin, env=variables, prog_name="pixmill"
        )
        out = result.stdout_bytes.decode()  # with the line ends that it has
        if out.startswith(('{"schema": "pixmill.', '{\n  "schema": "pixmill.')):
            check_envelope(out)
        return Outcome(result.exit_code, out, result.stderr)


def environment(**variables: str) -> dict[str, str]:
    inherited = {
        name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "COLUMNS", "LINES", "TERM"}
    }
    return {**inherited, "PYTHONPATH": str(REPOSITORY), "TERM": "xterm-256color", **variables}


def command_line(*args: object) -> list[str]:
    return [sys.executable, "-m", "cli", *(str(arg) for arg in args)]


def in_subprocess(*args: object, **variables: str) -> Outcome:
    """The command in a process of its own, with its output in pipes."""
    done = subprocess.run(
        command_line(*args), capture_output=True, text=True, env=environment(**variables), timeout=60, check=False
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


class Terminal:
    """The command in a process of its own, with stdin, stdout and stderr on a terminal."""

    def __init__(self, *args: object, columns: int = 80, variables: Mapping[str, str] | None = None) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.process = subprocess.Popen(
            command_line(*args),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment(**(variables or {})),
            start_new_session=True,
        )
        os.close(slave)
        self.text = ""

    def read_until(self, words: str) -> str:
        """Everything shown until `words` appear."""
        while words not in self.text and self._read():
            pass
        assert words in self.text, self.text
        return self.text

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def finish(self) -> Outcome:
        """Everything shown until the process ends."""
        while self._read():
            pass
        code = self.process.wait(30)
        os.close(self._master)
        return Outcome(code, self.text.replace("\r\n", "\n"), "")

    def _read(self) -> bool:
        try:
            data = os.read(self._master, 65536)
        except OSError:  # Linux reports the other end's closing so
            return False
        self.text += data.decode()
        return bool(data)


def on_terminal(*args: object, columns: int = 80, **variables: str) -> Outcome:
    """The command on a terminal, until it ends."""
    return Terminal(*args, columns=columns, variables=variables).finish()


def split(flags: str) -> list[str]:
    return flags.split()


def without_escapes(text: str) -> str:
    return ESCAPE.sub("", text)
