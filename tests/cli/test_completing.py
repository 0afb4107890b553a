"""What the Tab key offers."""

import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from sqlalchemy import make_url

from cli.completing import WholeWords, offered
from cli.main import command
from db.livenames import STATEMENTS, live_names
from db.tables.fleet import DeviceKind
from tests.cli.running import Runner, environment, in_subprocess
from tests.cli.tree import COMMANDS
from tests.cli.world import World


def complete(words: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What bash would be given at the end of the line."""
    monkeypatch.setenv("COMP_LINE", words)
    found = WholeWords(command, {}, "pixmill", "_PIXMILL_COMPLETE").complete()
    return [line.partition(",")[2] for line in found.splitlines()]


def arrange(world: World, run: Runner, tmp_path: Path) -> None:
    worker = world.worker()
    world.worker("cuda:0", host="node7", kind=DeviceKind.CUDA)
    world.trained(worker, name="digits-vae")
    assert run("model", "promote", "digits-vae@1", "--reason", "first").code == 0
    world.train(name="second", queue="bulk")
    file = tmp_path / "ping.yaml"
    file.write_text("kind: ping\n")
    assert run("schedule", "add", "nightly", "--cron", "30 2 * * *", "-f", file).code == 0
    night = tmp_path / "night.yaml"
    night.write_text("kind: pipeline\nname: evening\nsteps: {one: {kind: ping}}\n")
    assert run("pipeline", "run", "-f", night).code == 0
    assert run("submit", "ping", "--array", "0-1", "--name", "many").code == 0


def test_names_come_out_of_the_database(
    run: Runner, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrange(world, run, tmp_path)
    expected = {
        "pixmill job show ": ["4", "3", "2", "1"],
        "pixmill cancel 2": ["2"],
        "pixmill cancel 3_0 4": ["4"],
        "pixmill ps --array ": ["3"],
        "pixmill submit ping --after array:": ["3"],  # as with @
        "pixmill submit evaluate --output ": ["4", "3", "2", "1"],
        "pixmill model history d": ["digits-vae"],
        "pixmill submit generate --model digits-vae@": ["champion", "1"],  # bash takes what follows @ for a word
        "pixmill model alias rm digits-vae ": ["champion"],
        "pixmill queue pause ": ["bulk", "default"],
        "pixmill ps --queue b": ["bulk"],
        "pixmill worker drain ": ["cpu", "node7:cuda:0"],
        "pixmill device drain node7:": ["cuda:0"],
        "pixmill schedule show n": ["nightly"],
        "pixmill pipeline run ": ["evening", "nightly"],
        "pixmill pipeline show ": ["1"],
        "pixmill submit train --model snga": ["sngan"],
        "pixmill schema queue": ["queue_list"],
        "pixmill queue pause %": [],
    }
    found = {words: complete(words, monkeypatch) for words in expected}
    devices = found["pixmill worker drain "]
    found["pixmill worker drain "] = [name for name in devices if not name.endswith(":cpu")]
    assert found == expected
    items = offered(click.Context(command), ("job",), "1")
    assert [(item.value, item.help) for item in items] == [("1", "digits-vae, succeeded")]


def test_the_home_that_stands_in_the_line_is_asked(
    run: Runner, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.train(queue="bulk")
    monkeypatch.delenv("PIXMILL_HOME")
    assert complete(f"pixmill --home {world.home} queue pause ", monkeypatch) == ["bulk"]
    assert complete(f"pixmill --home {tmp_path}/none queue pause ", monkeypatch) == []
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("sort", STATEMENTS)
def test_every_sort_can_be_asked_for_on_both_databases(sort: str, world: World, postgres_url: str) -> None:
    for url in (world.settings.database_url, postgres_url):
        assert live_names(url, [sort], "a!%_") == []


def test_postgresql_is_asked_in_its_own_way(run: Runner, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXMILL_DATABASE_URL", postgres_url)
    run("submit", "ping", "--name", "first", "--queue", "bulk")
    assert complete("pixmill queue pause ", monkeypatch) == ["bulk"]
    assert live_names(postgres_url, ["job"], "1") == [("1", "first, pending")]
    assert live_names(make_url(postgres_url).render_as_string(hide_password=False), ["queue"], "") == [("bulk", "")]


@pytest.mark.parametrize("variables", [{"PIXMILL_DATABASE_URL": "nonsense"}, {"PIXMILL_HOMEE": "x"}])
def test_settings_that_do_not_fit_are_passed_over(
    variables: dict[str, str], home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert complete("pixmill queue pause ", monkeypatch) == []
    assert capsys.readouterr() == ("", "")


def test_a_database_that_is_away_or_silent_is_passed_over_in_time(
    home: Path,
    silent_port: int,
    closed_port: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    complete("pixmill queue pause ", monkeypatch)  # what is needed is imported now
    for port in (closed_port, silent_port):
        monkeypatch.setenv("PIXMILL_DATABASE_URL", f"postgresql://olga@127.0.0.1:{port}/pixmill")
        started = time.monotonic()
        assert complete("pixmill queue pause ", monkeypatch) == []
        assert time.monotonic() - started < 0.5
    (home / "pixmill.db").write_text("no database")
    monkeypatch.delenv("PIXMILL_DATABASE_URL")
    assert complete("pixmill queue pause ", monkeypatch) == []
    assert capsys.readouterr() == ("", "")


def test_a_tab_is_answered_within_half_a_second_and_loads_little(world: World) -> None:
    world.train(queue="bulk")
    tell = "lambda: print(time.process_time(), *sys.modules, file=sys.stderr)"
    script = f"import atexit, sys, time\natexit.register({tell})\nfrom cli.main import main\nmain()"
    variables = {"_PIXMILL_COMPLETE": "bash_complete", "COMP_LINE": "pixmill queue pause "}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment(**variables), check=True
    )
    assert done.stdout == "plain,bulk\n"
    seconds, *names = done.stderr.split()
    assert set(names).isdisjoint({"sqlalchemy", "torch", "celery", "alembic", "redis", "numpy"})
    assert float(seconds) < 0.5  # of processor time; 0.25 on an idle machine


def test_the_script_of_bash_hands_over_the_whole_line(world: World, tmp_path: Path) -> None:
    world.worker("cuda:0", host="node7", kind=DeviceKind.CUDA)
    script = in_subprocess("completion", "bash").out
    assert 'COMP_LINE="${COMP_LINE:0:COMP_POINT}"' in script
    typed = f"""{script}
COMP_LINE='pixmill device drain node7:cu'; COMP_POINT=${{#COMP_LINE}}
COMP_WORDS=(pixmill device drain node7 : cu); COMP_CWORD=5
_pixmill_completion '{sys.executable} -m cli'
echo "${{COMPREPLY[@]}}"
"""
    typed = typed.replace(
        "_PIXMILL_COMPLETE=bash_complete $1)", f"_PIXMILL_COMPLETE=bash_complete {sys.executable} -m cli)"
    )
    done = subprocess.run(["bash", "-c", typed], capture_output=True, text=True, env=environment(), check=True)
    assert done.stdout == "cuda:0\n"


def test_every_argument_that_names_something_is_completed() -> None:
    """By its type: an argument of plain text names nothing that is there yet, or a file."""
    plain = {
        f"{name} {param.name}"
        for name, found in COMMANDS.items()
        for param in found.params
        if isinstance(param, click.Argument)
        and type(param.type) in {type(click.STRING), type(click.INT), click.IntRange}
    }
    assert plain == {"pixmill dataset add name", "pixmill dataset add source", "pixmill schedule add name"}
