"""The pages in a real browser: nothing on the console, nothing asked of other hosts, nothing that axe finds."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from server.app import build_app
from server.options import Options
from server.reading import ReadingWorkspace
from server.serving import address_of, bound_socket
from tests.browsing import problems
from tests.server.standing import HELD, RUNNING, settings_file

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

TOKEN = "correct-horse-battery-staple"
PATHS = (
    "/", "/jobs", "/jobs?state=failed&kind=train", "/jobs/1", "/jobs/2", "/jobs/3", "/jobs/4", "/jobs/5", "/jobs/6",
    "/devices", "/models", "/models/digits-vae", "/outputs", "/outputs/2", "/outputs/2/7", "/pipelines",
    "/pipelines/1", "/schedules",
)  # fmt: skip


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


def test_every_page_in_light_and_dark_and_on_a_telephone(standing_home: Path, tmp_path: Path, chromium: str) -> None:
    with served(settings_file(tmp_path, standing_home), allow_writes=True) as address:
        assert problems(address, chromium, PATHS, LIVE=f"/jobs/{RUNNING}", ACT=f"/jobs/{HELD}") == ""


def test_the_login(standing_home: Path, tmp_path: Path, chromium: str) -> None:
    with served(settings_file(tmp_path, standing_home), token=TOKEN) as address:
        assert problems(address, chromium, ["/login", "/jobs"], TOKEN=TOKEN) == ""
