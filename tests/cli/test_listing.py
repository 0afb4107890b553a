"""Lists in all shapes: the same conventions for every command that has one."""

import csv
import gc
import io
import json
import tracemalloc
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import click
import pytest
from sqlalchemy import update

from cli.commands.job.ls import every_job
from cli.context import Workspace
from cli.envelopes import flat_fields, schema_names
from cli.listing import flat_text
from db.jobs import add_job
from db.listing import JobFilter
from db.tables.jobs import Job
from pixmill.times import parse_past
from tests.cli.envelopes import check_envelope
from tests.cli.running import REPOSITORY, Runner, at_once
from tests.cli.tree import COMMANDS
from tests.cli.world import World
from tests.rows import new_job

LISTING_WORDS = ("ls", "ps", "history", "versions", "presets", "next")
LISTS = [name for name, command in COMMANDS.items() if any(param.name == "columns" for param in command.params)]
DYNAMIC = "pixmill output query"  # its columns are those of the data set
PLAIN = [name for name in LISTS if name != DYNAMIC and not any(param.required for param in COMMANDS[name].params)]


def formats(name: str) -> tuple[str, ...]:
    (option,) = (param for param in COMMANDS[name].params if "-o" in param.opts)
    assert isinstance(option.type, click.Choice)
    return tuple(option.type.choices)


def read_csv(text: str) -> list[list[str]]:
    assert text.endswith("\r\n") or not text
    return list(csv.reader(io.StringIO(text, newline="")))


def test_every_list_has_all_shapes() -> None:
    assert {name for name in COMMANDS if name.split()[-1] in LISTING_WORDS} <= set(LISTS)
    for name in LISTS:
        shapes = [shape for shape in formats(name) if shape != "wide"]
        assert shapes == ["table", "json", "ndjson", "csv", "ids"], name
        if name != DYNAMIC:
            assert "--utc" in [opt for param in COMMANDS[name].params for opt in param.opts], name


@pytest.mark.parametrize("name", PLAIN)
def test_a_list_is_the_same_in_all_shapes_and_an_empty_one_is_no_error(name: str, run: Runner) -> None:
    words = name.split()[1:]
    found = {shape: run(*words, "-o", shape) for shape in formats(name)}
    assert {one.code for one in found.values()} == {0}
    items = found["json"].json["items"]
    assert [json.loads(line) for line in found["ndjson"].lines] == items
    assert len(found["ids"].lines) == len(items)
    fields = flat_fields(found["json"].json["schema"].removeprefix("pixmill.").removesuffix("/1"))
    head, *rows = read_csv(found["csv"].out)
    assert head == fields
    assert len(rows) == len(items)
    if not items:
        assert found["table"].out == ""


@pytest.mark.parametrize("name", PLAIN)
def test_an_unknown_column_is_an_error_that_names_the_others(name: str, run: Runner) -> None:
    for shape in ("table", "csv"):
        found = run(*name.split()[1:], "--columns", "nmae,zzz", "-o", shape)
        assert (found.code, found.out) == (2, "")
        assert "error: there is no column 'nmae'" in found.err
        assert "choose" in found.err
    assert run(*name.split()[1:], "--columns", "name", "-o", "json").code == 2


def test_columns_are_named_as_in_the_head_or_as_in_the_json(run: Runner, world: World) -> None:
    job_id = world.train(name="first", labels={"=1+1": "b;c", "note": 'two\nlines, "quoted"'}, queue="bulk")
    table = run("ps", "--columns", "Name,ID,spec_digest,progress.done,user")
    digest = run("ps", "-o", "json").json["items"][0]["spec_digest"]
    assert [line.split() for line in table.lines] == [
        ["NAME", "ID", "SPEC_DIGEST", "PROGRESS.DONE", "USER"],
        ["first", str(job_id), digest, "0", "olga"],
    ]
    assert read_csv(at_once(run("ps", "--columns", "id,NAME,labels,age,prio,waits_for", "-o", "csv").out)) == [
        ["id", "name", "labels", "age", "prio", "waits_for"],
        [str(job_id), "first", '=1+1=b;c;note=two\nlines, "quoted"', "0s", "0", ""],
    ]
    assert "did you mean 'per_user'?" in run("queue", "ls", "--columns", "per user s").err
    assert run("queue", "ls", "--columns", "per user,WEIGHT").lines[0].split() == ["PER", "USER", "WEIGHT"]


def test_in_a_table_of_chosen_columns_jobs_of_a_run_stand_below_it(run: Runner, world: World, tmp_path: Path) -> None:
    file = tmp_path / "night.yaml"
    file.write_text("kind: pipeline\nname: night\nsteps: {one: {kind: ping}}\n")
    assert run("pipeline", "run", "-f", file).code == 0
    assert run("ps", "--columns", "id,name").lines[1:] == run("ps", "--columns", "id,name", "-o", "wide").lines[1:]


def test_lists_are_joined_and_nothing_else_is_changed() -> None:
    assert flat_text([1, None, "a"]) == "1;;a"
    assert flat_text(0.1) == "0.1"
    assert flat_text(datetime(2026, 11, 22, tzinfo=UTC)) == "2026-11-22T00:00:00.000Z"


def add_jobs(world: World, count: int) -> None:
    """Many jobs at once."""
    spec = {"kind": "ping", "filler": "x" * 500}
    world.database.transact(
        lambda session: [add_job(session, new_job(kind="ping", spec=spec)) for _number in range(count)]
    )


def peak_bytes(workspace: Workspace) -> int:
    """Of all that the list needs at a time; rows lie in circles, which wait for the collector."""
    gc.collect()
    gc.freeze()
    tracemalloc.start()
    for number, _seen in enumerate(every_job(workspace, JobFilter())):
        if number % 20 == 0:
            gc.collect()
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    gc.unfreeze()
    return peak


def test_the_memory_of_all_jobs_as_lines_does_not_grow_with_them(
    run: Runner, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.commands.job.ls.PAGE", 20)
    add_jobs(world, 40)
    workspace = Workspace()
    peak_bytes(workspace)  # what is kept for good is made now
    few = peak_bytes(workspace)
    add_jobs(world, 160)
    assert peak_bytes(workspace) < 1.5 * few
    workspace.close()
    ids = [json.loads(line)["id"] for line in run("ps", "--all", "-o", "ndjson").lines]
    assert ids == sorted(ids)
    assert len(ids) == 200
    assert len(read_csv(run("ps", "-a", "-o", "csv").out)) == 201


def at(world: World, job_id: int, moment: datetime) -> None:
    world.database.transact(
        lambda session: session.execute(update(Job).where(Job.id == job_id).values(submitted_at=moment))
    )


def test_since_and_until_choose_by_the_time_of_the_submit(run: Runner, world: World) -> None:
    ids = [world.train() for _ in range(3)]
    now = datetime.now(UTC)
    at(world, ids[0], now - timedelta(days=3))
    at(world, ids[1], now - timedelta(hours=2))
    assert run("ps", "--since", "3h", "-o", "ids").lines == ["2", "3"]
    assert run("ps", "--until", "3h", "-o", "ids").lines == ["1"]
    assert run("ps", "--since", "4d", "--until", (now - timedelta(hours=1)).isoformat(), "-o", "ids").lines == [
        "1",
        "2",
    ]
    assert run("job", "cancel", "--until", "1d", "-y").code == 0
    assert [item["state"] for item in run("ps", "-o", "json").json["items"]] == ["cancelled", "pending", "pending"]
    found = run("ps", "--since", "soon")
    assert found.code == 2
    assert "'soon' is not a time; write it like 2026-11-21T02:00:00Z, or like 2h, today, yesterday" in found.err
    assert "has no time zone" in run("ps", "--since", "2026-11-21T02:00:00").err


def test_days_begin_at_midnight_by_the_clocks_of_the_zone() -> None:
    east = timezone(timedelta(hours=14))
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert parse_past("today", now, east) == datetime(2026, 11, 23, tzinfo=east)
    assert parse_past("midnight", now, UTC) == datetime(2026, 11, 22, tzinfo=UTC)
    assert parse_past("yesterday", now, east) == datetime(2026, 11, 22, tzinfo=east)
    assert parse_past("2026-11-01", now, east) == datetime(2026, 11, 1, tzinfo=east)
    assert parse_past("2026-11-01T00:00:00+14:00", now) == datetime(2026, 11, 1, tzinfo=east)
    assert parse_past("now", now) == now
    for text in ("0001-01-01", "99999999999d", "tomorrow", ""):
        with pytest.raises(ValueError, match=r"time|years"):
            parse_past(text, now, east)


def test_utc_shows_moments_instead_of_ages(run: Runner, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = world.train()
    at(world, job_id, datetime(2026, 1, 2, 3, 4, 5, 600_000, tzinfo=UTC))
    world.worker()
    moment = "2026-01-02T03:04:05Z"
    assert run("ps", "--utc", "--columns", "age").out.split() == ["AGE", moment]
    assert run("--utc", "ps", "--columns", "submitted").lines[1] == moment
    assert run("ps", "--columns", "age").lines[1].endswith("d")
    assert moment in run("--utc", "job", "show", job_id).out
    assert run("worker", "ls", "--utc", "--columns", "seen").lines[1].endswith("Z")
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    import time

    time.tzset()
    try:
        assert "2026-01-02 17:04:05+14:00" in run("job", "show", job_id).out
        assert run("ps", "--utc", "--columns", "submitted").lines[1] == moment
        assert run("ps", "-o", "json").json["items"][0]["submitted_at"] == "2026-01-02T03:04:05.600Z"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_filter_that_names_no_queue_says_which_one_may_be_meant(run: Runner, world: World) -> None:
    world.train(queue="bulk")
    for args in (("ps", "--queue", "bulc"), ("cancel", "--queue", "bulc")):
        found = run(*args)
        assert (found.code, found.out) == (0, "")
        assert "there is no queue 'bulc'; did you mean 'bulk'?" in found.err


@pytest.mark.parametrize("name", schema_names())
def test_every_envelope_has_a_schema_that_is_complete_in_itself(name: str, run: Runner) -> None:
    from jsonschema import Draft202012Validator

    schema = run("schema", name).json
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:pixmill:{name}:1"
    assert "definitions.json" not in json.dumps(schema)


def test_every_envelope_that_a_command_prints_has_a_schema() -> None:
    import re

    text = "\n".join(path.read_text(encoding="utf-8") for path in (REPOSITORY / "cli").rglob("*.py"))
    printed = set(re.findall(r'(?:print_item|print_list)\(\s*"([a-z_]+)"|schema="([a-z_]+)"', text))
    names = {first or second for first, second in printed}
    assert names | {"output_query"} == set(schema_names())


def test_a_field_that_no_schema_names_is_noticed() -> None:
    document: dict[str, Any] = {"schema": "pixmill.queue_list/1", "items": [], "next": None}
    check_envelope(json.dumps(document))
    for wrong in ({**document, "more": 1}, {**document, "items": [{"name": "a"}]}, {"schema": document["schema"]}):
        with pytest.raises(AssertionError):
            check_envelope(json.dumps(wrong))
