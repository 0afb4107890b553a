"""What a dashboard may change that was started with --allow-writes, and for whom."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from db.glances import last_events
from db.tables.jobs import Job, Queue
from pixmill.states import State
from tests.cli.world import World
from tests.server.standing import Dashboard, asked, settings_file

TOKEN = "correct-horse-battery-staple"


@pytest.fixture
def dashboard(world: World, tmp_path: Path) -> Iterator[Dashboard]:
    """The dashboard of a home with a running, a pending and a failed job, in that order."""
    worker = world.worker()
    world.train(name="running")
    world.claim_by(worker, 1)
    world.train(name="pending")
    with asked(settings_file(tmp_path, world.home), allow_writes=True) as opened:
        yield opened


def state_of(world: World, job_id: int) -> State:
    with world.database.read() as session:
        job = session.get(Job, job_id)
        assert job is not None
        return job.state


def act(dashboard: Dashboard, job_id: int, name: str, **more: str) -> int:
    fields = {"act": name, "csrf": dashboard.csrf, "reason": "the data are wrong", **more}
    return dashboard.post(f"/jobs/{job_id}/acts", fields).status_code


def test_a_job_is_held_released_cancelled_and_tried_again(dashboard: Dashboard, world: World) -> None:
    for name, state in (
        ("hold", State.HELD),
        ("release", State.PENDING),
        ("cancel", State.CANCELLED),
        ("retry", State.PENDING),
    ):
        assert "job 2" in dashboard.page("/jobs/2")
        assert act(dashboard, 2, name) == 303
        assert state_of(world, 2) is state
        assert f'status-{state}"' in dashboard.page("/jobs/2").partition("<h1>")[0]  # at once, not that of before
    assert act(dashboard, 1, "requeue") == 303
    with world.database.read() as session:
        events = [event for event in last_events(session, 100) if event.actor.endswith("(dashboard)")]
    assert {event.action for event in events} >= {"hold", "release", "cancel", "retry", "requeue"}
    assert {event.detail for event in events if event.action in {"hold", "release"}} == {"the data are wrong"}


def test_a_queue_is_paused_and_resumed(dashboard: Dashboard, world: World) -> None:
    for name, paused in (("pause", True), ("resume", False)):
        fields = {"act": name, "csrf": dashboard.csrf, "reason": "a new fan"}
        sent = dashboard.post("/queues/default/acts", fields)
        assert (sent.status_code, sent.headers["location"]) == (303, "/jobs?queue=default")
        with world.database.read() as session:
            queue = session.get(Queue, "default")
            assert queue is not None
            assert (queue.paused, queue.paused_reason) == (paused, "a new fan" if paused else None)


def test_what_cannot_be_is_told_and_changes_nothing(dashboard: Dashboard, world: World) -> None:
    answer = dashboard.post("/jobs/2/acts", {"act": "release", "csrf": dashboard.csrf})
    assert (answer.status_code, "not held" in answer.text) == (409, True)
    assert act(dashboard, 9, "cancel") == 404
    assert act(dashboard, 2, "explode") == 400
    assert act(dashboard, 2, "cancel", reason="x" * 501) == 400
    assert dashboard.post("/queues/nowhere/acts", {"act": "pause", "csrf": dashboard.csrf}).status_code == 404
    assert state_of(world, 2) is State.PENDING


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "http://127.0.0.1:1", "ftp://127.0.0.1:8765"])
def test_another_page_cannot_act(dashboard: Dashboard, world: World, origin: str) -> None:
    fields = {"act": "cancel", "csrf": dashboard.csrf}
    assert dashboard.post("/jobs/2/acts", fields, origin=origin).status_code == 403
    assert state_of(world, 2) is State.PENDING


@pytest.mark.parametrize("csrf", [None, "", "guessed"])
def test_a_form_of_another_dashboard_does_nothing(dashboard: Dashboard, world: World, csrf: str | None) -> None:
    fields = {"act": "cancel"} | ({} if csrf is None else {"csrf": csrf})
    assert dashboard.post("/jobs/2/acts", fields).status_code == 403
    assert state_of(world, 2) is State.PENDING


def test_only_a_small_form_is_read(dashboard: Dashboard, world: World) -> None:
    headers = {"origin": "http://127.0.0.1:8765"}
    body = f"act=cancel&csrf={dashboard.csrf}"
    for kind, content in (
        ("application/json", body),
        ("text/plain", body),
        ("application/x-www-form-urlencoded", body + "&reason=" + "x" * 10_000),
        ("application/x-www-form-urlencoded", "&".join(["a=b"] * 50)),
        ("application/x-www-form-urlencoded", "act=%ff"),
    ):
        sent = dashboard.client.post("/jobs/2/acts", content=content, headers={**headers, "content-type": kind})
        assert sent.status_code in {400, 403}, kind
    assert state_of(world, 2) is State.PENDING


def test_the_forms_are_there_for_what_may_be_done(dashboard: Dashboard) -> None:
    pending = dashboard.page("/jobs/2")
    assert f'name="csrf" value="{dashboard.csrf}"' in pending
    assert 'value="hold"' in pending
    assert 'value="retry"' not in pending
    assert dashboard.get("/jobs/2").headers["referrer-policy"] == "same-origin"  # otherwise forms come from "null"
    assert 'value="requeue"' in dashboard.page("/jobs/1")
    assert 'action="/queues/default/acts"' in dashboard.page("/")


def test_where_a_token_is_asked_for_it_is_asked_for_acts_too(world: World, tmp_path: Path) -> None:
    world.train()
    with asked(settings_file(tmp_path, world.home), allow_writes=True, token=TOKEN) as dashboard:
        fields = {"act": "hold", "csrf": dashboard.csrf}
        assert dashboard.post("/jobs/1/acts", fields).status_code == 401
        assert state_of(world, 1) is State.PENDING
        bearer = {"authorization": f"Bearer {TOKEN}"}
        assert (
            dashboard.post("/jobs/1/acts", {"act": "hold"}, origin="http://evil.example", **bearer).status_code == 403
        )
        assert dashboard.post("/jobs/1/acts", {"act": "hold"}, **bearer).status_code == 303
        assert state_of(world, 1) is State.HELD
        dashboard.post("/login", {"token": TOKEN})
        assert dashboard.post("/jobs/1/acts", {"act": "release"}).status_code == 403
        assert dashboard.post("/jobs/1/acts", {"act": "release", "csrf": dashboard.csrf}).status_code == 303
        assert state_of(world, 1) is State.PENDING
