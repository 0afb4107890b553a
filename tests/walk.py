"""A walk through a document: its commands are run as they stand there, and what they print is compared or written.

    python -m tests.walk docs/tutorial.md

runs the commands of the document's ```console blocks in a new folder, writes what they print into the document, and
fails if one of them does, unless the last line of its output in the document is its exit code: "[exit code 3]". A
block that follows the words "Save this as `NAME`:" is a file of that folder.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
FOLDER = "/home/ann/pixmill"  # what the reader's folder is called
HOST = "node"  # the reader's host,
USER = "ann"  # and the reader
COMMAND_SECONDS = 300.0

_BLOCK = re.compile(r"```console\n(?P<text>.*?)```", re.DOTALL)
_FILE = re.compile(r"Save this as `(?P<name>[\w.-]+)`:\n\n```\w+\n(?P<text>.*?)```", re.DOTALL)
_EXIT_CODE = re.compile(r"\[exit code \d+\]")
_DIGEST = re.compile(r"\b[0-9a-f]{8,}…?")
_STAGES = re.compile(r"\b(device|encode|disk|net) \(((device|encode|disk|net) \d+%(, )?)+\)")
_BROKER = re.compile(r"\b(valkey|redis)(?= \d+\.\d+\.\d+\b)")  # whichever of the two a machine has
_FIGURE = re.compile(r"[-+]?\d[\w.,:+-]*( [kMG]?B\b)?")  # a number, time or span, with what is said of it


@dataclass(frozen=True)
class Step:
    """One command, and what it prints, without the line break at the end."""

    command: str
    output: str

    @property
    def text(self) -> str:
        """Both as the document has them."""
        return f"$ {self.command}\n" + (f"{self.output}\n" if self.output else "")


def steps_of(document: str) -> list[Step]:
    """The commands of all console blocks, in order."""
    return [step for block in _BLOCK.finditer(document) for step in _steps(block["text"])]


def _steps(block: str) -> Iterator[Step]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield Step(command, output.rstrip("\n"))


def rewritten(document: str, steps: list[Step]) -> str:
    """The document with these steps in the place of its own."""
    left = iter(steps)

    def block(match: re.Match[str]) -> str:
        count = len(list(_steps(match["text"])))
        return "```console\n" + "".join(next(left).text for _ in range(count)) + "```"

    return _BLOCK.sub(block, document)


def shape(output: str) -> list[str]:
    """What of an output is the same every time: its lines, without figures, digests and the widths of columns."""
    plain = output.replace(_cpu_model(), "CPU").replace(HOST, "host")
    plain = _BROKER.sub("BROKER", _STAGES.sub("STAGES", plain))
    return [" ".join(_FIGURE.sub("N", _DIGEST.sub("H", line)).split()) for line in plain.splitlines()]


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"


def walk(document: str, folder: Path) -> Iterator[Step]:
    """Run each command in the folder, and tell what it printed.  Raises AssertionError when one fails."""
    shutil.copy(REPOSITORY / "pixmill.toml", folder)
    for file in _FILE.finditer(document):
        (folder / file["name"]).write_text(file["text"], encoding="utf-8")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PIXMILL_")}
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = {**inherited, "PATH": path, "LOGNAME": USER}
    try:
        for step in steps_of(document):
            yield _run(step, folder, environment)
    finally:
        subprocess.run(["pixmill", "down"], cwd=folder, env=environment, capture_output=True, check=False)


def _run(step: Step, folder: Path, environment: dict[str, str]) -> Step:
    done = subprocess.run(
        ["bash", "-c", step.command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    output = done.stdout.rstrip("\n").replace(str(folder), FOLDER)
    output = re.sub(rf"\b{re.escape(socket.gethostname())}\b( *)", _host, output)
    if done.returncode:
        output = f"{output}\n[exit code {done.returncode}]".lstrip()
    assert _exit_code(output) == _exit_code(step.output), f"$ {step.command}\n{output}"
    return Step(step.command, output)


def _exit_code(output: str) -> str:
    """The last line, where it tells an exit code other than 0."""
    last = output.rpartition("\n")[2]
    return last if _EXIT_CODE.fullmatch(last) else ""


def _host(match: re.Match[str]) -> str:
    """The reader's host; columns beside it stay where they are."""
    return HOST.ljust(len(match[0])) if match[1] else HOST


def main() -> None:
    """Write what the commands print into the documents that are named."""
    for name in sys.argv[1:]:
        path = Path(name)
        document = path.read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory(prefix="pixmill-walk-", dir="/tmp") as folder:
            steps = []
            for step in walk(document, Path(folder)):
                sys.stdout.write(step.text)
                sys.stdout.flush()
                steps.append(step)
        path.write_text(rewritten(document, steps), encoding="utf-8")


if __name__ == "__main__":
    main()
