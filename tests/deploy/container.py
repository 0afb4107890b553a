"""The image without docker: the script of its Dockerfile, and processes that see what its containers would see."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import psutil

from tests.deploy.composition import ROOT
from tests.servers import die_with_parent
from tests.waiting import wait_until

ENTER = Path(__file__).parent / "enter.sh"
NEW_SPACES = ("unshare", "--mount", "--pid", "--uts", "--fork", "--kill-child=SIGKILL")
UID = 10001
PATIENCE = 240.0  # seconds; torch is imported from a cold disk, by a machine that does something else as well


def can_confine() -> bool:
    """Whether processes may get a root file system, numbers and a name of their own here: root alone may, as a rule."""
    tried = shutil.which("unshare") and subprocess.run([*NEW_SPACES, "true"], capture_output=True, check=False)
    return bool(tried) and os.geteuid() == 0 and tried.returncode == 0  # type: ignore[union-attr]


@contextmanager
def built_image() -> Iterator[Path]:
    """What the Dockerfile has in /opt/pixmill: its own script, on what .dockerignore lets in; torch from an index."""
    # Not below /tmp, which is in memory in a container.
    with tempfile.TemporaryDirectory(prefix="pixmill-image-", dir="/var/tmp") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        _copy_context(folder / "src")
        paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        subprocess.run(
            [folder / "src/deploy/image/install.sh", folder / "src", folder / "venv"],
            env={**os.environ, "PATH": paths, "TORCH_INDEX": _index_of_torch(folder / "index"), "PIP_QUIET": "1"},
            check=True,
        )
        yield folder / "venv"


def _copy_context(target: Path) -> None:
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for name in (rule[1:] for rule in rules if rule.startswith("!")):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, target / name)


def _index_of_torch(folder: Path) -> str:
    """An index that has torch alone, of the build that pip finds here: as that of its CPU builds is one of them."""
    pin = next(line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch=="))
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder / "torch"), pin]
    subprocess.run(words, check=True)
    (wheel,) = (folder / "torch").iterdir()
    (folder / "torch/index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
    return folder.as_uri()


@dataclass
class Container:
    """What runs in it is not root, has no name, and writes to /data and to /tmp alone; its command is process 1.

    Where such a container cannot be had, `is_confined` is false, and it runs as whoever runs the tests.
    """

    image: Path
    folder: Path
    secrets: Path
    environment: Mapping[str, str]
    is_confined: bool = field(default_factory=can_confine)

    def __post_init__(self) -> None:
        self.data.mkdir()
        self.folder.chmod(0o755)
        if self.is_confined:
            os.chown(self.data, UID, UID)

    @cached_property
    def data(self) -> Path:
        """The volume."""
        return self.folder / "data"

    def run(self, host: str, *command: str, timeout: float = PATIENCE) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self._words(host, command), capture_output=True, text=True, timeout=timeout, check=False, cwd="/"
        )

    def start(self, host: str, *command: str) -> "Running":
        """Run a command until it is told to stop."""
        log = self.folder / f"{host}.log"
        with log.open("ab") as stream:
            outer = subprocess.Popen(
                self._words(host, command),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                cwd="/",
                preexec_fn=die_with_parent,  # noqa: PLW1509
            )
        if not self.is_confined:
            return Running(outer, psutil.Process(outer.pid), log)
        (child,) = wait_until(psutil.Process(outer.pid).children)
        return Running(outer, child, log)

    def _outside(self, text: str) -> str:
        """Where a path of a container lies when nothing is confined."""
        places = {"/run/secrets": self.secrets, "/data": self.data, "/tmp": self.folder / "tmp"}
        inside = next((place for place in places if text.startswith(f"{place}/") or text == place), None)
        return text if inside is None else f"{places[inside]}{text.removeprefix(inside)}"

    def _words(self, host: str, command: tuple[str, ...]) -> list[str]:
        paths = [str(self.image / "bin"), "/usr/local/bin", "/usr/bin", "/bin"]
        variables = {"PATH": os.pathsep.join(paths), **self.environment}
        if not self.is_confined:
            variables = {key: self._outside(value) for key, value in variables.items()}
            return ["env", "-i", *(f"{key}={value}" for key, value in variables.items()), *command]
        root = self.folder / "root" / host
        root.mkdir(parents=True, exist_ok=True)
        words = [*NEW_SPACES, ENTER, root, host, self.data, self.secrets, self.image, sys.base_prefix, "--"]
        words += ["/usr/bin/env", "-i", *(f"{key}={value}" for key, value in variables.items())]
        return [*map(str, words), *command]


@dataclass
class Running:
    """A process that runs in a container."""

    outer: "subprocess.Popen[bytes]"
    first: psutil.Process  # process 1 of the container
    log: Path

    def stop(self, timeout: float) -> int:
        """Tell it to stop, as `docker stop` does; gives its exit status, or fails after so many seconds."""
        self.first.send_signal(signal.SIGTERM)
        return self.outer.wait(timeout)

    def kill(self) -> None:
        """End it and all that it has started, if it has not ended."""
        if self.outer.poll() is None:
            self.first.kill()
            self.outer.wait(10.0)
