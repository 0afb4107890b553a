"""`pixmill notify`, and what `status` and `doctor` say of notifications."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from cli.doctor.findings import Level
from cli.doctor.notifications import examine_notifications
from db.notifications import claim_next, give_up, mark_sent, try_again
from db.tables.jobs import Event
from db.telling import tell
from pixmill.settings import load_settings
from tests.cli.diagnosing import wrong
from tests.cli.running import Runner
from tests.cli.world import World
from tests.receiver import Receiver, answer, receiving
from tests.rows import act


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving() as server:
        monkeypatch.setenv("PIXMILL_NOTIFY_URL", server.url)
        monkeypatch.setenv("PIXMILL_NOTIFY_ALLOW_PRIVATE", "true")
        yield server


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told is tried here, not how soon: a busy machine may take more than a second."""
    monkeypatch.setattr("client.health.ANSWER_SECONDS", 60.0)


def add(world: World, *kinds: str) -> None:
    for number, kind in enumerate(kinds, 1):
        act(world.database, tell, kind, f"job {number}", {"job_id": number, "name": "night", "reason": "OOM"})


def settle(world: World) -> None:
    """The first is sent, the second given up, the third waits for its second try."""
    for conclude in (
        lambda session, claimed: mark_sent(session, claimed, 200),
        lambda session, claimed: give_up(session, claimed, 500, "it answers 500"),
        lambda session, claimed: try_again(session, claimed, None, "no answer", 3600.0),
    ):
        claimed = act(world.database, claim_next, 30.0)
        assert claimed is not None
        act(world.database, conclude, claimed)


def check(run: Runner) -> tuple[str, str] | None:
    item = run("status", "-o", "json").json["item"]
    found = [each for each in item["checks"] if each["part"] == "notifications"]
    return (found[0]["state"], found[0]["detail"]) if found else None


def test_a_test_is_sent_at_once_and_its_answer_told(run: Runner, receiver: Receiver) -> None:
    found = run("notify", "test")
    assert found.code == 0, found.err
    (request,) = receiver.got
    assert request.headers["webhook-id"] in found.err
    assert "answered 200" in found.err
    assert b'"type":"test"' in request.body
    receiver.usual = answer(403, b"who are you?")
    found = run("notify", "test")
    assert found.code == 1
    assert "it answers 403 Forbidden: who are you?" in found.err
    assert "team=night" not in found.err, "an address is a secret"
    found = run("notify", "test", "-o", "json")
    assert (found.code, found.json["item"]["status"], found.json["item"]["delivered"]) == (1, 403, False)


def test_without_a_webhook_or_its_secret_a_test_says_what_is_missing(run: Runner, tmp_path: Path) -> None:
    found = run("notify", "test")
    assert (found.code, found.out) == (78, "")
    assert "notify.url is not set" in found.err
    variables = {"PIXMILL_NOTIFY_URL": "http://127.0.0.1:1/", "PIXMILL_NOTIFY_SECRET_FILE": str(tmp_path / "none")}
    found = run("notify", "test", **variables)
    assert found.code == 78
    assert "it is this machine; set notify.allow_private if requests shall go there" in found.err
    variables["PIXMILL_NOTIFY_ALLOW_PRIVATE"] = "true"
    found = run("notify", "test", **variables)
    assert found.code == 78
    assert "none cannot be read: No such file or directory" in found.err


def test_what_was_sent_waits_and_was_given_up_is_listed_and_retried(run: Runner, world: World) -> None:
    assert run("notify", "ls", "-o", "json").json["items"] == []
    add(world, "job.failed", "job.failed", "job.failed", "job.never_ran")
    settle(world)
    found = run("notify", "ls", "-o", "json").json
    assert found["schema"] == "pixmill.notification_list/1"
    assert [(item["id"], item["state"], item["tries"]) for item in found["items"]] == [
        (4, "waiting", 0),
        (3, "waiting", 1),
        (2, "failed", 1),
        (1, "sent", 1),
    ]
    assert found["items"][2]["text"] == "job 2 (night) failed: OOM"
    assert "it answers 500" in run("notify", "ls", "--state", "failed").out
    assert run("notify", "ls", "--state", "failed", "-o", "ids").lines == ["2"]

    found = run("notify", "retry", 2, 3)
    assert found.code == 0, found.err
    assert "the settings here name no webhook" in found.err
    assert run("notify", "ls", "--state", "failed", "-o", "ids").lines == []
    found = run("notify", "retry", 2, 1)
    assert (found.code, run("notify", "retry", 77).code) == (4, 3)
    assert "notification 1 was sent" in found.err
    with world.database.read() as session:
        events = session.scalars(select(Event.detail).where(Event.action == "retry_notification")).all()
    assert events == ["notification 2, job.failed of job 2", "notification 3, job.failed of job 3"]


def test_status_and_doctor_tell_what_does_not_arrive(run: Runner, world: World, receiver: Receiver) -> None:
    assert check(run) == ("ok", f"to {receiver.url.rpartition('/')[0]}; 0 sent, 0 waiting, 0 given up")
    add(world, "job.failed", "job.failed", "job.failed")
    settle(world)
    words = "1 notification given up within a day; 1 notification tried in vain so far"
    assert check(run) == ("warning", words)
    with world.database.read() as session:
        found = wrong(examine_notifications(session, load_settings()))
    assert found == {words: (Level.WARNING, "pixmill notify ls; try the way there: pixmill notify test")}


def test_doctor_looks_at_the_secret(
    world: World, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key"
    monkeypatch.setenv("PIXMILL_NOTIFY_SECRET_FILE", str(key))
    key.write_text("short")
    key.chmod(0o600)
    with world.database.read() as session:
        ((detail, (level, _)),) = wrong(examine_notifications(session, load_settings())).items()
        assert (level, "holds 5 bytes" in detail) == (Level.PROBLEM, True)
        key.write_text("long enough for anybody")
        assert wrong(examine_notifications(session, load_settings())) == {}
        key.chmod(0o644)
        ((_detail, (level, remedy)),) = wrong(examine_notifications(session, load_settings())).items()
    assert (level, remedy) == (Level.WARNING, f"chmod 600 {key}")
