"""`pixmill schedule`, and what `status`, `doctor` and `job show` say of schedules."""

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, func, insert, select, text

from db.control import cancel_job
from db.schedules import get_schedule
from db.tables.jobs import Job
from db.tables.schedules import Schedule
from scheduler.schedules import Planner
from tests.cli.running import Runner
from tests.cli.world import World

ZURICH = ("--zone", "Europe/Zurich")
NIGHTLY = ("schedule", "add", "nightly", "--cron", "30 2 * * *", *ZURICH)


@pytest.fixture
def ping(tmp_path: Path) -> Path:
    file = tmp_path / "ping.yaml"
    file.write_text("kind: ping\npriority: 3\n")
    return file


def next_night(world: World) -> int:
    """The scheduler comes by at the next time of the schedule; gives how many jobs it added."""

    def when(session: object) -> datetime:
        with world.database.read() as reading:
            planned = get_schedule(reading, "nightly").next_run_at
        assert planned is not None
        return planned

    return Planner(world.database, when, outputs=None).start_due()


def test_from_add_to_rm(run: Runner, world: World, ping: Path) -> None:
    added = run(*NIGHTLY, "-f", ping, "--name", "night-{date}", "-l", "team=x", "--queue", "night")
    assert added.code == 0, added.err
    assert "its first run is at " in added.err
    assert run(*NIGHTLY, "-f", ping, "--name", "night-{date}", "-l", "team=x", "--queue", "night").code == 0
    assert run(*NIGHTLY, "-f", ping).code == 4
    assert next_night(world) == 1
    (item,) = run("schedule", "ls", "-o", "json").json["items"]
    assert (item["name"], item["overlap"], item["catchup"], item["deadline_seconds"]) == (
        "nightly",
        "skip",
        "latest",
        43_200.0,
    )
    last = item["last_run"]
    assert (last["outcome"], last["job_state"], last["by_hand"]) == ("submitted", "pending", None)
    shown = run("job", "show", last["job_id"]).out
    assert f"night-{last['local'][:10]}" in shown
    assert f"scheduled_for={last['local'].replace(' ', 'T')[:16]}:00{last['local'][16:]}" in shown
    assert "team=x" in shown
    refused = run("schedule", "run", "nightly")
    assert (refused.code, "has not ended" in refused.err) == (4, True)
    world.database.transact(lambda session: cancel_job(session, last["job_id"], actor="ann"))
    by_hand = run("schedule", "run", "nightly", "-q")
    assert (by_hand.code, by_hand.out) == (0, "2\n"), by_hand.err
    history = run("schedule", "history", "nightly", "-o", "json").json["items"]
    assert sorted((each["job_id"], each["by_hand"] is not None) for each in history) == [(1, False), (2, True)]
    assert "nobody can be asked" in run("schedule", "rm", "nightly").err
    assert run("schedule", "rm", "nightly", "-y").code == 0
    assert run("schedule", "ls", "-o", "json").json["items"] == []
    with world.database.read() as session:
        assert session.scalar(select(func.count(Job.id))) == 2


def test_what_it_submits_is_a_file_that_submit_takes(run: Runner, ping: Path, tmp_path: Path) -> None:
    run(*NIGHTLY, "-f", ping, "--retries", "5", "--name", "night-{date}")
    spec = tmp_path / "spec.yaml"
    spec.write_text(run("schedule", "show", "nightly", "--spec").out)
    submitted = run("submit", "-f", spec, "-o", "json").json["item"]
    assert re.fullmatch(r"night-\d{4}-\d\d-\d\d", submitted["name"])
    assert (submitted["kind"], submitted["priority"], submitted["options"]["retries"]) == ("ping", 3, 5)


def test_next_shows_times_with_their_offsets(run: Runner, world: World, ping: Path) -> None:
    run(*NIGHTLY, "-f", ping)
    run("schedule", "add", "noon", "--cron", "0 12 29 2 *", "-f", ping, "--blackout", "2028-02-29")
    found = run("schedule", "next", "nightly", "-n", "400", "-o", "json").json["items"]
    times = {each["local"][-12:] for each in found}
    assert times == {" 02:30+01:00", " 02:30+02:00", " 03:00+02:00"}
    (first,) = run("schedule", "next", "noon", "-n", "1", "-o", "json").json["items"]
    assert (first["scheduled_for"], first["note"]) == (
        "2028-02-29T12:00:00.000Z",
        "skipped: within 2028-02-29",
    )
    assert len(run("schedule", "next").lines) == 6


def test_a_paused_schedule_says_why(run: Runner, world: World, ping: Path) -> None:
    run(*NIGHTLY, "-f", ping)
    assert run("schedule", "pause", "nightly", "--reason", "new driver").code == 0
    assert "was paused already" in run("schedule", "pause", "nightly", "--reason", "new driver").err
    assert next_night(world) == 0
    assert "Paused: new driver" in run("schedule", "history", "nightly").out
    assert "paused: new driver" in run("schedule", "next", "nightly", "-n", "1").out
    assert "goes on" in run("schedule", "resume", "nightly").err
    assert next_night(world) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--cron", "0 0 30 2 *"), 2, "never comes"),
        (("--cron", "0 25 * * *"), 2, "bad hour"),
        (("--zone", "Europe/Zurch"), 2, "there is no time zone 'Europe/Zurch'"),
        (("--catchup", "all", "--overlap", "skip"), 2, "--catchup all and --overlap skip"),
        (("--blackout", "weekends"), 2, "blackout 'weekends'"),
        (("--name", "no spaces"), 2, "name"),
        (("--set", "width=64"), 2, "unknown key 'options'"),
        (("--priority", "9999"), 2, "priority"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_stored(
    run: Runner, world: World, ping: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    found = run(*NIGHTLY, "-f", ping, *arguments)
    assert (found.code, len(found.err.splitlines())) == (code, 2), found.err
    assert message in found.err
    with world.database.read() as session:
        assert session.scalars(select(Schedule)).all() == []


@pytest.mark.parametrize(
    ("document", "code", "message"),
    [
        ("{kind: generate, model: nix, n: 3}", 3, "there is no model 'nix'"),
        ("{kind: train, model: vae, dataset: 'folder:/nowhere'}", 2, "/nowhere"),
        ("{kind: ping, key: one}", 2, "'key' is for one job"),
        ("{kind: ping, after: [1]}", 2, "'after' is for one job"),
        ("kind: ping\n---\nkind: ping", 2, "holds 2 jobs"),
        ("{kind: ping, nmae: x}", 2, "unknown key 'nmae'"),
    ],
)
def test_what_submit_would_refuse_is_refused(run: Runner, world: World, document: str, code: int, message: str) -> None:
    found = run(*NIGHTLY, "-f", "-", stdin=document)
    assert (found.code, len(found.err.splitlines())) == (code, 2), found.err
    assert message in found.err
    with world.database.read() as session:
        assert session.scalars(select(Schedule)).all() == []


def test_unknown_names_are_told(run: Runner, ping: Path) -> None:
    run(*NIGHTLY, "-f", ping)
    for verb in ("show", "next", "run", "pause", "resume", "history", "rm"):
        found = run("schedule", verb, "nightyl")
        assert (found.code, found.err.splitlines()) == (
            3,
            ["error: there is no schedule 'nightyl'", "hint:  did you mean 'nightly'?"],
        )


def test_status_and_doctor_tell_of_a_schedule_that_cannot_submit_and_goes_on(run: Runner, world: World) -> None:
    worker = world.worker()
    world.trained(worker)
    document = "{kind: generate, model: digits-vae, n: 3}"
    assert run(*NIGHTLY, "-f", "-", stdin=document).code == 0
    with world.database.write() as session:
        schedule = get_schedule(session, "nightly")
        schedule.document = {**schedule.document, "model": "lost"}
    assert next_night(world) == 0
    found = {check["part"]: check for check in run("status", "-o", "json").json["item"]["checks"]}["schedules"]
    assert (found["state"], found["hint"]) == ("warning", "pixmill schedule history nightly")
    assert "NotFound: there is no model 'lost'" in found["detail"]
    (line,) = run("schedule", "ls", "-o", "json").json["items"]
    assert line["last_run"]["outcome"] == "refused"
    assert "nightly was refused at" in run("doctor", "--quick").out
    with world.database.write() as session:
        schedule = get_schedule(session, "nightly")
        schedule.document = {**schedule.document, "model": "digits-vae"}
    assert next_night(world) == 1
    assert "1 schedule; next: nightly in" in run("status").out


def test_a_schedule_of_a_thousand_is_looked_at_quickly(world: World) -> None:
    """A look that finds nothing due asks for two values, however many schedules there are."""
    far = datetime.fromisoformat("2026-01-01T00:00+00:00")
    terms: dict[str, Any] = {"cron": "0 2 * * *", "zone": "UTC", "document": {}, "overlap": "skip", "catchup": "latest"}
    terms |= {"deadline_seconds": 1.0, "jitter_seconds": 0.0, "blackouts": [], "user_name": "ann"}
    times = [far + timedelta(hours=number) for number in range(1000)]
    with world.database.write() as session:
        rows = [{"name": f"s{at}", "next_for": at, "next_run_at": at, "added_at": far, **terms} for at in times]
        session.execute(insert(Schedule), rows)
    asked: list[str] = []
    event.listen(world.database.engine, "before_cursor_execute", lambda *details: asked.append(details[2]))
    planner = Planner(world.database, lambda _session: far - timedelta(seconds=90), outputs=None)
    assert planner.start_due() == 0
    assert planner.seconds_to_next == 90.0
    (question,) = asked
    with world.database.read() as session:
        plan = " ".join(row.detail for row in session.execute(text(f"EXPLAIN QUERY PLAN {question}")))
    assert "ix_schedules_next_run_at" in plan
