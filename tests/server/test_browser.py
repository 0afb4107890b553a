"""The pages in a real browser: nothing on the console, nothing asked of other hosts, nothing that axe finds."""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from server.app import build_app
from server.options import Options
from server.reading import ReadingWorkspace
from server.serving import address_of, bound_socket
from tests.server.standing import HELD, RUNNING, settings_file

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
TOKEN = "correct-horse-battery-staple"
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


class Beside(uvicorn.Server):
    """A server in a thread, which leaves signals alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextmanager
def served(config: Path, **options: Any) -> Iterator[str]:
    """The address of a dashboard that is as patient as a machine with a browser on it wants it."""
    app = build_app(ReadingWorkspace(config), Options(**options))
    app.site.reader.answer_seconds = 60.0
    listener = bound_socket("127.0.0.1", 0)
    server = Beside(uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    listener.listen()
    thread.start()
    try:
        yield address_of(listener).rstrip("/")
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
        app.site.close()


def problems(address: str, chromium: str, paths: Sequence[str], **variables: str) -> str:
    """What is wrong with the pages at these paths, a line each."""
    line = ["node", str(Path(__file__).with_name("browser.mjs")), address, chromium, *paths]
    variables = {**os.environ, "NODE_PATH": str(ROOT / "node_modules"), **variables}
    done = subprocess.run(line, capture_output=True, text=True, env=variables, check=False)
    assert done.returncode == 0, done.stderr
    return "\n".join(": ".join(words) for words in json.loads(done.stdout))


def test_every_page_in_light_and_dark_and_on_a_telephone(standing_home: Path, tmp_path: Path, chromium: str) -> None:
    with served(settings_file(tmp_path, standing_home), allow_writes=True) as address:
        assert problems(address, chromium, PATHS, LIVE=f"/jobs/{RUNNING}", ACT=f"/jobs/{HELD}") == ""


def test_the_login(standing_home: Path, tmp_path: Path, chromium: str) -> None:
    with served(settings_file(tmp_path, standing_home), token=TOKEN) as address:
        assert problems(address, chromium, ["/login", "/jobs"], TOKEN=TOKEN) == ""
