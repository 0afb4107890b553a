"""Asking for jobs from Python."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from client import Client
from pixmill.errors import (
    BrokerUnreachable,
    DatabaseUnreachable,
    KeyConflict,
    NotFound,
    PixmillError,
    SpecError,
    UserError,
)
from pixmill.specs import PingSpec, TrainSpec
from pixmill.states import State
from tests.cli.world import World

TRAIN = {"kind": "train", "model": "vae", "dataset": "digits", "images": 10_000}


def test_a_spec_a_document_a_text_and_a_file_ask_for_the_same(pixmill: Client, tmp_path: Path) -> None:
    text = "kind: train\nmodel: vae\ndataset: digits\nimages: 10k\n"
    file = tmp_path / "job.yaml"
    file.write_text(text)
    spec = TrainSpec(model="vae", dataset="digits", images=10_000)
    jobs = [pixmill.submit(asked) for asked in (spec, TRAIN, text, file)]
    jobs.append(pixmill.train("vae", "digits", images="10k"))
    assert len({job.id for job in jobs}) == 5
    assert len({job.spec_digest for job in jobs}) == 1
    assert {(job.state, job.user, job.total, job.model) for job in jobs} == {(State.PENDING, "olga", 10_000, "vae")}


def test_options_lie_over_the_document(pixmill: Client) -> None:
    first = pixmill.submit(PingSpec())
    begin = datetime.now(UTC) + timedelta(hours=1)
    job = pixmill.submit(
        "kind: ping\nlabels: {night: one}\nqueue: day",
        name="look",
        queue="bulk",
        priority=7,
        after=first,
        begin=begin,
        hold=True,
        labels={"who": "ann"},
        retries=1,
        time_limit_seconds="2h",
    )
    assert (job.name, job.queue, job.priority, job.state) == ("look", "bulk", 7, State.HELD)
    assert (job.labels, job.waits_for) == ({"night": "one", "who": "ann"}, (first.id,))
    assert job.begin_at is not None
    assert abs(job.begin_at - begin) < timedelta(milliseconds=2)
    assert job.options["time_limit_seconds"] == 7200.0
    assert pixmill.submit(PingSpec(), after=[first, job.id]).waits_for == (first.id, job.id)


def test_what_cannot_be_asked_for_adds_nothing(pixmill: Client) -> None:
    with pytest.raises(SpecError, match="unknown key 'datset'") as found:
        pixmill.submit({**TRAIN, "datset": "x"})
    assert found.value.hint is not None
    assert "dataset" in found.value.hint
    with pytest.raises(SpecError, match="one job was expected, and 2 came"):
        pixmill.submit("kind: ping\n---\nkind: ping\n")
    with pytest.raises(SpecError, match="holds no keys and values"):
        pixmill.submit("only words")
    with pytest.raises(UserError, match="cannot be read"):
        pixmill.submit(Path("nowhere.yaml"))
    with pytest.raises(NotFound):
        pixmill.generate("nobody", 10)
    assert pixmill.jobs() == []


def test_all_or_none(pixmill: Client) -> None:
    with pytest.raises(NotFound):
        pixmill.submit_all([PingSpec(), {"kind": "generate", "model": "nobody", "n": 10}])
    assert pixmill.jobs() == []
    jobs = pixmill.submit_all([PingSpec(), "kind: ping\n---\nkind: ping\nname: last\n"], labels={"set": "one"})
    assert [job.name for job in jobs][2] == "last"
    assert [job.id for job in pixmill.jobs(labels={"set": "one"})] == [job.id for job in jobs]


def test_a_key_is_for_one_job(pixmill: Client) -> None:
    first = pixmill.submit(TRAIN, key="night-1")
    assert pixmill.submit(TRAIN, key="night-1").id == first.id
    with pytest.raises(KeyConflict, match="images 10000 → 20000"):
        pixmill.submit({**TRAIN, "images": 20_000}, key="night-1")
    assert len(pixmill.jobs()) == 1


def test_a_plan_fills_in_what_was_left_open_and_adds_nothing(pixmill: Client, world: World) -> None:
    world.trained(world.worker(), name="digits-vae")
    plan = pixmill.plan({"kind": "generate", "model": "digits-vae", "n": "1k"})
    assert (plan.images, plan.document["model"]) == (1000, "digits-vae@1")
    assert plan.tasks >= 2
    assert len(pixmill.jobs()) == 1


def test_generated_images_are_judged(pixmill: Client, world: World) -> None:
    worker = world.worker()
    world.trained(worker, name="digits-vae")
    made = pixmill.job(world.generated(worker, model="digits-vae@1"))
    judged = pixmill.evaluate(made, n=40, name="judged", hold=True)
    assert (judged.kind, judged.spec["output"], judged.state) == ("evaluate", made.id, State.HELD)


def test_without_redis_the_job_is_stored_and_that_is_told(
    pixmill: Client, world: World, troubles: list[PixmillError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIXMILL_BROKER_URL", "redis://127.0.0.1:9/0")
    started = time.monotonic()
    job = pixmill.submit(PingSpec())
    assert time.monotonic() - started < 2
    pixmill.release(pixmill.hold(job))
    assert [type(error) for error in troubles] == [BrokerUnreachable, BrokerUnreachable]
    assert [found.id for found in pixmill.jobs()] == [job.id]


def test_a_database_that_is_away_is_told_in_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXMILL_DATABASE_URL", "postgresql://olga:secret@127.0.0.1:9/pixmill")
    with Client() as pixmill:
        started = time.monotonic()
        for call in (pixmill.jobs, lambda: pixmill.submit(PingSpec()), lambda: pixmill.wait(1)):
            with pytest.raises(DatabaseUnreachable) as found:
                call()
            assert "secret" not in str(found.value)
        assert time.monotonic() - started < 2 * 3
        assert {check.part: check.is_ok for check in pixmill.checks()}["database"] is False


def test_a_client_takes_settings_as_they_are(world: World) -> None:
    with Client(settings=world.settings) as pixmill:
        assert pixmill.settings is world.settings
        assert pixmill.jobs() == []
    assert Client(home=world.home).settings.home == world.home
