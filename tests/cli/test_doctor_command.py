"""`pixmill doctor` as it is called: on fresh, sound and broken homes, and beside servers that do not answer."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.doctor.findings import Finding, Level, problem
from cli.doctor.screen import PART_COLUMNS, STATE_COLUMNS, finding_lines, verdict
from tests.cli.running import Outcome, Runner, environment, in_subprocess, on_terminal, without_escapes
from tests.cli.world import World
from tests.conftest import Broker


def found_by(outcome: Outcome) -> dict[str, list[dict[str, str]]]:
    """Part → its findings."""
    parts: dict[str, list[dict[str, str]]] = {}
    for finding in outcome.json["item"]["findings"]:
        parts.setdefault(finding["part"], []).append(finding)
    return parts


def examined(run: Runner, *args: str, **variables: str) -> dict[str, list[dict[str, str]]]:
    return found_by(run("doctor", "-o", "json", *args, **variables))


def states(parts: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    """The worst state of each part."""
    order = ("problem", "warning", "ok")
    return {part: min((each["state"] for each in found), key=order.index) for part, found in parts.items()}


def test_a_fresh_home_is_told_how_to_begin_and_nothing_is_made(run: Runner, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh"
    found = run("--home", fresh, "doctor", "-o", "json")
    assert found.code == 1
    (database,) = found_by(found)["database"]
    assert (database["state"], database["remedy"]) == ("problem", "pixmill up")
    assert "not made yet" in database["detail"]
    assert not fresh.exists()


def test_a_sound_home_is_examined_as_a_whole(run: Runner, world: World, valkey: Broker) -> None:
    world.scheduler()
    worker = world.worker()
    world.generated(worker, f"job:{trained_for_real(world)}")
    found = run("doctor", "-o", "json", "--deep", PIXMILL_BROKER_URL=valkey.url)
    assert (found.code, found.json["item"]["ok"]) == (0, True), found.out
    assert found.json["schema"] == "pixmill.doctor/1"
    parts = found_by(found)
    assert list(parts) == [
        "settings",
        "database",
        "schema",
        "integrity",
        "clock",
        "broker",
        "scheduler",
        "workers",
        "jobs",
        "disk",
        "checkpoints",
        "shards",
        "models",
        "outputs",
        "runs",
        "timeline",
        "processes",
        "drivers",
    ]
    assert "WAL" in parts["database"][0]["detail"]
    assert "noeviction" in parts["broker"][0]["detail"]
    assert "keeps anything on disk does not matter" in parts["broker"][0]["detail"]
    assert parts["drivers"][0]["detail"].startswith("torch 2.")
    assert "7 files" in parts["outputs"][0]["detail"]
    assert "hashes are right" in parts["shards"][0]["detail"]


def trained_for_real(world: World) -> int:
    """A train job whose model has a card and weights on the disk."""
    from tests.cli.test_doctor_files import write_model

    job_id = world.train()
    lease = world.claim(world.worker())
    digest = write_model(world.root / lease.folder / "model")
    world.succeed_training(lease)
    from sqlalchemy import update

    from db.tables.models import ModelVersion

    world.database.transact(lambda session: session.execute(update(ModelVersion).values(digest=digest)))
    return job_id


def test_in_a_pipe_it_is_one_whole_line_a_finding(run: Runner, world: World) -> None:
    found = run("doctor", "--quick", PIXMILL_BROKER_URL="redis://127.0.0.1:1/0")
    assert found.code == 1
    (broker,) = [line for line in found.lines if line.startswith("broker")]
    assert "Redis does not answer" in broker
    assert broker.endswith("check that the server runs and that broker.url is right")
    assert "problems, " in found.err


def test_on_a_narrow_terminal_nothing_is_cut_off(world: World) -> None:
    found = on_terminal("doctor", "--quick", columns=60)
    text = without_escapes(found.out)
    assert found.code == 1
    assert "…" not in text
    assert "→ pixmill up" in text
    indent = " " * (PART_COLUMNS + STATE_COLUMNS + 4)
    long = [line for line in text.splitlines() if len(line) > 60 and "→" not in line and " " in line.strip()]
    assert [line for line in long if not line.startswith(indent)] == []


def test_servers_that_say_nothing_keep_nobody_waiting(silent_port: int, tmp_path: Path) -> None:
    found = in_subprocess(
        "doctor",
        "-o",
        "json",
        PIXMILL_HOME=str(tmp_path),
        PIXMILL_DATABASE_URL=f"postgresql://olga@127.0.0.1:{silent_port}/x",
        PIXMILL_BROKER_URL=f"redis://127.0.0.1:{silent_port}/0",
    )
    assert found.code == 1
    parts = found_by(found)
    for part in ("database", "broker"):
        # Not after the time-outs of the driver, which gives a server two seconds for each of its addresses.
        # The time-out of Redis is a second too: whichever ends first tells.
        assert re.match("no answer within a second|Redis does not answer: Timeout", parts[part][0]["detail"])
    assert "not examined" in parts["drivers"][0]["detail"]
    assert "runs" not in parts


def test_settings_that_cannot_be_read_are_a_finding(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "pixmill.toml").write_text("[broker\n")
    found = run("doctor", "-o", "json")
    assert found.code == 1
    ((finding,),) = found_by(found).values()
    assert finding["part"] == "settings"
    assert "cannot read" in finding["detail"]


def test_a_schema_that_does_not_fit_is_a_problem_with_its_command(run: Runner, empty_postgres_url: str) -> None:
    parts = examined(run, "--quick", PIXMILL_DATABASE_URL=empty_postgres_url)
    assert parts["database"][0]["detail"].startswith("PostgreSQL ")
    (schema,) = parts["schema"]
    assert (schema["state"], schema["remedy"]) == ("problem", "pixmill db upgrade")
    assert "scheduler" not in parts


def test_postgresql_is_examined_too(run: Runner, postgres_url: str, valkey: Broker) -> None:
    parts = examined(run, "--quick", PIXMILL_DATABASE_URL=postgres_url, PIXMILL_BROKER_URL=valkey.url)
    assert states(parts) | {"scheduler": "ok", "workers": "ok"} == dict.fromkeys(parts, "ok")
    assert "connections in use" in parts["database"][0]["detail"]
    assert "s behind" in parts["clock"][0]["detail"] or "s ahead of" in parts["clock"][0]["detail"]
    assert "only what is shown depends on it" in parts["clock"][0]["detail"]


def test_a_damaged_database_is_found_by_reading_all_of_it(run: Runner, world: World, home: Path) -> None:
    for _ in range(30):
        world.train(labels={"a": "b" * 60})
    world.database.dispose()
    with sqlite3.connect(home / "pixmill.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'ix_jobs_state_id'").fetchone()
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    with (home / "pixmill.db").open("r+b") as file:
        file.seek((root - 1) * page_bytes + page_bytes - 40)
        file.write(bytes(40))
    assert "integrity" not in examined(run, "--quick")
    (integrity,) = examined(run, "--deep")["integrity"]
    assert integrity["state"] == "problem"
    assert ".recover" in integrity["remedy"]


def test_quick_and_deep_exclude_each_other(run: Runner) -> None:
    assert run("doctor", "--quick", "--deep").code == 2


def test_it_never_imports_torch(home: Path) -> None:
    script = (
        "import sys\nfrom cli.main import command\n"
        "try:\n    command(['doctor', '-o', 'json'])\nexcept SystemExit as end:\n    pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment(), check=True)
    assert json.loads(done.stdout)["item"]["findings"]
    assert set(done.stderr.split()).isdisjoint({"torch", "celery", "alembic"})


def test_it_changes_nothing(run: Runner, world: World, home: Path) -> None:
    def files() -> set[str]:
        return {str(path) for path in home.rglob("*") if not path.name.endswith(("-wal", "-shm"))}

    before = files()
    run("doctor", "--quick")
    assert files() == before


TEXT = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "Zs"]), max_size=300)


@given(TEXT, st.integers(40, 200))
def test_no_line_is_wider_than_the_terminal_but_for_a_word_that_is(detail: str, width: int) -> None:
    finding = problem("checkpoints", detail, "pixmill gc plan")
    lines = finding_lines(finding, width, colored=False)
    indent = PART_COLUMNS + STATE_COLUMNS + 4
    assert lines[-1] == f"{' ' * (indent - 2)}→ pixmill gc plan"
    for line in lines[:-1]:
        assert len(line) <= width or " " not in line[indent:]
    words = " ".join(line[indent:] for line in lines[:-1]).split()
    assert words == detail.split()


def test_the_verdict_counts() -> None:
    def finding(state: Level) -> Finding:
        return Finding(part="x", state=state, detail="")

    assert verdict([finding(Level.OK)]) == "nothing is wrong"
    assert verdict([finding(Level.PROBLEM), finding(Level.WARNING), finding(Level.WARNING)]) == "1 problem, 2 warnings"


@pytest.mark.parametrize("level", Level)
def test_a_finding_without_a_remedy_is_a_line(level: Level) -> None:
    finding = Finding(part="disk", state=level, detail="full")
    (line,) = finding_lines(finding, 80, colored=False)
    assert line.split() == ["disk", level.value, "full"]
    assert os.linesep not in line
