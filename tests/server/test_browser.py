"""The pages in a real browser: nothing on the console, nothing asked of other hosts, nothing that axe finds."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.running import command_line, environment
from tests.server.standing import RUNNING

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
PACKAGES = ("playwright-core", "axe-core")
PATHS = (
    "/", "/jobs", "/jobs?state=failed&kind=train", "/jobs/1", "/jobs/2", "/jobs/3", "/jobs/4", "/jobs/5", "/jobs/6",
    "/devices", "/models", "/models/digits-vae", "/outputs", "/outputs/2", "/outputs/2/7", "/pipelines",
    "/pipelines/1", "/schedules",
)  # fmt: skip


def missing(what: str) -> None:
    """Where every check has to run a missing program is an error."""
    text = f"{what} is missing; make browser says how to get it"
    if os.environ.get("CI"):
        pytest.fail(text)
    pytest.skip(text)


@pytest.fixture(scope="module")
def chromium() -> str:
    found = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
    )
    if not found:
        missing("chromium")
    if shutil.which("node") is None:
        missing("node")
    if not all((ROOT / "node_modules" / package).is_dir() for package in PACKAGES):
        missing(f"one of the npm packages {', '.join(PACKAGES)}")
    return found


@contextmanager
def served(*flags: object, folder: Path) -> Iterator[str]:
    """The address of a dashboard in a process of its own."""
    line = command_line(*flags, "--port", "0")
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=environment(), cwd=folder) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip().rstrip("/")
        finally:
            process.terminate()


def problems(address: str, chromium: str, paths: Sequence[str], **variables: str) -> str:
    """What is wrong with the pages at these paths, a line each."""
    line = ["node", str(Path(__file__).with_name("browser.mjs")), address, chromium, *paths]
    variables = {**os.environ, "NODE_PATH": str(ROOT / "node_modules"), **variables}
    done = subprocess.run(line, capture_output=True, text=True, env=variables, check=False)
    assert done.returncode == 0, done.stderr
    return "\n".join(": ".join(words) for words in json.loads(done.stdout))


def test_every_page_in_light_and_dark_and_on_a_telephone(standing_home: Path, tmp_path: Path, chromium: str) -> None:
    with served("--home", standing_home, "server", "--allow-writes", folder=tmp_path) as address:
        assert problems(address, chromium, PATHS, LIVE=f"/jobs/{RUNNING}") == ""


def test_the_login(standing_home: Path, tmp_path: Path, chromium: str) -> None:
    token = tmp_path / "token"
    token.write_text("correct-horse-battery-staple\n")
    token.chmod(0o600)
    with served("--home", standing_home, "server", "--token-file", token, folder=tmp_path) as address:
        assert problems(address, chromium, ["/login", "/jobs"]) == ""
