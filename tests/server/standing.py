"""A home in which a bit of everything stands, and its dashboard asked in this process."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx2
import numpy as np
from starlette.testclient import TestClient

from db.aliases import Deed, promote
from db.tables.schedules import Schedule
from db.workers import database_time
from pixmill.pipelines import parse_pipeline
from pixmill.states import FailureReason
from scheduler.pipelines import Conductor
from scheduler.schedules import Planner
from server.app import build_app
from server.guard import Guard
from server.options import LOCAL_HOSTS, Options
from server.reading import ReadingWorkspace
from storage.pictures import contact_sheet, save_png
from tests.cli.world import World

ADDRESS = "http://127.0.0.1:8765"
ODD = "<img src=x onerror=alert(1)>&\"'"  # what a name must not become
TRAIN, GENERATE, EVALUATE, FAILED, HELD, RUNNING, PIPELINE = range(1, 8)
MORE_IMAGES = re.compile(r"/outputs/\d+/(images/)?(?!(0|7|8|39)$)\d+$")  # of which some will do
METRIC = {
    "name": "kid@cnn-1a2b3c4d",
    "value": 0.0123,
    "n": 40,
    "reference_n": 40,
    "better": "lower",
    "meaning": "distance",
}
METRIC |= {"controls": [], "standard_error": None, "expected_bias": None}


@dataclass(frozen=True)
class Dashboard:
    """A dashboard and somebody who asks it."""

    app: Guard
    client: TestClient

    def get(self, path: str, **headers: str) -> httpx2.Response:
        return self.client.get(path, headers=headers, follow_redirects=False)

    def page(self, path: str) -> str:
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    def post(self, path: str, fields: dict[str, str], **headers: str) -> httpx2.Response:
        return self.client.post(path, data=fields, headers={"origin": ADDRESS, **headers}, follow_redirects=False)

    @property
    def csrf(self) -> str:
        return self.app.site.access.csrf


def settings_file(folder: Path, home: Path, **tables: dict[str, Any]) -> Path:
    """A settings file that goes before the repository's own."""
    lines = [f"home = {json.dumps(str(home))}"]
    for name, values in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    file = folder / "dashboard.toml"
    file.write_text("\n".join(lines) + "\n")
    return file


@contextmanager
def asked(config: Path, *, hurried: bool = False, **options: Any) -> Iterator[Dashboard]:
    """The dashboard with these settings, for as long as the block lasts; it gives up in time only if `hurried`."""
    app = build_app(ReadingWorkspace(config), Options(**{"allowed_hosts": LOCAL_HOSTS, **options}))
    if not hurried:
        app.site.reader.answer_seconds = 60.0  # a machine with much else to do is no outage
    try:
        with TestClient(app, base_url=ADDRESS) as client:
            yield Dashboard(app, client)
    finally:
        app.site.close()


def fill_home(world: World) -> None:
    """Jobs 1 to 7, a model with a champion, a schedule and its pipeline."""
    world.scheduler()
    worker = world.worker()
    _train(world, worker)
    world.generated(worker)
    world.judged(worker, GENERATE, [METRIC])
    failed = world.train(name="too-large", labels={"team": ODD})
    world.fail(world.claim_by(worker, failed), FailureReason.OUT_OF_MEMORY, f"CUDA is out of memory {ODD}")
    world.generate("digits-vae", hold=True, name="for-review")
    running = world.train(name="running-now", queue="night")
    lease = world.claim_by(worker, running)
    world.progress(lease, 2500)
    for number in range(1, 4):
        world.write_lines(lease, "losses.jsonl", {"images": 800 * number, "losses": {"kl": 1 / number}})
    _night(world)
    deed = Deed(actor="olga", reason=f"the best so far {ODD}")
    world.database.transact(lambda session: promote(session, "digits-vae@1", "champion", deed))


def _train(world: World, worker: Any) -> None:
    world.train(name="digits-vae")
    lease = world.claim(worker)
    for number in range(1, 60):
        world.write_lines(lease, "losses.jsonl", {"images": 100 * number, "losses": {"kl": 1 / number, "rec": 2.0}})
    world.write_lines(lease, "quality.jsonl", {"images": 3000, "value": 0.5}, {"images": 6000, "value": 0.25})
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), dtype=np.uint8)
    save_png(world.root / lease.folder / "samples-000003000.png", contact_sheet(images))
    world.succeed_training(lease)


def _night(world: World) -> None:
    steps = {"only": {"kind": "ping"}}
    document = {"kind": "pipeline", "version": 1, "name": "night", "steps": steps, "params": {}}
    with world.database.read() as session:
        at = database_time(session)
    row: dict[str, Any] = {"name": "nightly", "cron": "30 2 * * *", "zone": "UTC", "user_name": "olga"}
    row |= {"document": parse_pipeline(document).stored(), "overlap": "skip", "catchup": "latest"}
    row |= {"deadline_seconds": 3600.0, "jitter_seconds": 0.0, "blackouts": [], "next_for": at, "next_run_at": at}
    world.database.transact(lambda session: session.add(Schedule(**row)))
    Planner(world.database, lambda _session: at, outputs=None).start_due()
    Conductor(world.database, outputs=None).advance()


def follow(dashboard: Dashboard, start: str = "/") -> dict[str, httpx2.Response]:
    """All pages and files that can be reached from a page, with their answers."""
    found: dict[str, httpx2.Response] = {}
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path in found or MORE_IMAGES.match(path):
            continue
        answer = found[path] = dashboard.get(path)
        if "text/html" in answer.headers.get("content-type", "") and not path.startswith("/reports/"):
            waiting += [urljoin(path, link).partition("#")[0] for link in links_of(answer.text)]
    return found


class Tags(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def links_of(page: str) -> list[str]:
    """Where a page leads, and what it loads."""
    leading = ("href", "src", "hx-get", "data-curves")
    return [link for _tag, values in Tags(page).found for name in leading if (link := values.get(name)) is not None]
