import os
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import click
import psycopg
import pytest
from sqlalchemy import make_url

from cli.context import Workspace
from cli.errors import run_reporting
from db.schema import HEAD, REVISIONS
from pixmill.errors import CorruptFile
from tests.cli.running import Runner, command_line, environment, in_subprocess
from tests.cli.world import World
from tests.servers import Valkey


def test_a_database_that_does_not_answer_is_unavailable(run: Runner, closed_port: int) -> None:
    url = f"postgresql://olga:secret@127.0.0.1:{closed_port}/pixmill"
    run("ps", PIXMILL_DATABASE_URL=url)  # the driver is imported now
    for args in (["ps"], ["job", "show", "1"], ["submit", "train", "--model", "vae", "--dataset", "digits"]):
        started = time.monotonic()
        found = run(*args, PIXMILL_DATABASE_URL=url)
        assert time.monotonic() - started < 2
        assert (found.code, found.out) == (69, "")
        assert "error: database postgresql+psycopg://olga:***@127.0.0.1" in found.err
        assert "hint:" in found.err
        assert "secret" not in found.err


SHORT = {"PIXMILL_DATABASE_CONNECT_TIMEOUT_SECONDS": "1.0"}  # as it is where nobody sets it


@pytest.mark.parametrize("port", ["silent_port", "swallowing_port", "closed_port"])
def test_a_database_that_says_nothing_is_unavailable_in_time(
    port: str, run: Runner, request: pytest.FixtureRequest
) -> None:
    number = request.getfixturevalue(port)
    where = {"PIXMILL_DATABASE_URL": f"postgresql://olga@127.0.0.1:{number}/pixmill", **SHORT}
    for words in (["ps"], ["db", "status"]):
        started = time.monotonic()
        found = run(*words, **where)
        assert time.monotonic() - started < 2
        assert (found.code, found.out) == (69, "")
        assert "hint:  check that the server runs" in found.err


def test_a_database_server_that_stands_still_is_unavailable_in_time(
    run: Runner, postgres_url: str, cloned_postgres_url: str
) -> None:
    """The server's own process, which takes connections, is stopped as a whole."""
    if "host" not in make_url(postgres_url).query:
        return  # a server that somebody else looks after
    where = {"PIXMILL_DATABASE_URL": postgres_url, **SHORT}
    assert run("ps", **where).code == 0
    with psycopg.connect(cloned_postgres_url.replace("+psycopg", "")) as connection:
        row = connection.execute("SELECT pg_read_file('postmaster.pid', 0, 10)").fetchone()
    assert row is not None
    postmaster = int(row[0].split()[0])
    os.kill(postmaster, signal.SIGSTOP)
    try:
        started = time.monotonic()
        found = run("ps", **where)
        assert time.monotonic() - started < 2
    finally:
        os.kill(postmaster, signal.SIGCONT)
    assert (found.code, found.out) == (69, "")
    assert "does not answer within 1 s" in found.err


@pytest.mark.parametrize("stop", [signal.SIGSTOP, signal.SIGKILL])
def test_a_broker_that_is_gone_or_stands_still_holds_nobody_up(
    stop: signal.Signals, run: Runner, own_valkey: Valkey
) -> None:
    where = {"PIXMILL_BROKER_URL": own_valkey.url}
    assert run("submit", "ping", "-q", **where).out == "1\n"
    own_valkey.signal(stop)
    notes = {
        ("submit", "ping", "-q"): "the job is stored and starts when it is back",
        ("job", "top", "1"): "the scheduler will see the change by itself",
    }
    for words, note in notes.items():
        started = time.monotonic()
        found = run(*words, **where)
        assert time.monotonic() - started < 2
        assert found.code == 0
        assert note in found.err
    assert run("ps", "-o", "ids", **where).lines == ["1", "2"]


def revise(home: Path, revision: str | None) -> None:
    with sqlite3.connect(home / "pixmill.db") as connection:
        connection.execute("DELETE FROM pixmill_schema_version")
        if revision is not None:
            connection.execute("INSERT INTO pixmill_schema_version VALUES (?)", (revision,))
    connection.close()


def test_a_schema_from_the_future_is_refused(run: Runner, home: Path) -> None:
    revise(home, "9999")
    for args in (["ps"], ["model", "ls"], ["submit", "train", "--model", "vae", "--dataset", "digits"]):
        found = run(*args)
        assert (found.code, found.out) == (78, "")
        assert "migrated by a newer pixmill" in found.err
        assert "upgrade pixmill on this host" in found.err
    assert run("db", "status").code == 78
    assert run("db", "upgrade").code == 78


def test_a_schema_that_is_behind_is_refused_with_the_command_to_run(
    run: Runner, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.schema.REVISIONS", (*REVISIONS, "next"))
    monkeypatch.setattr("db.schema.HEAD", "next")
    found = run("ps")
    assert (found.code, found.out) == (78, "")
    assert f"1 revision(s) behind ({HEAD} → next)" in found.err
    assert "pixmill db upgrade" in found.err


def test_an_empty_postgresql_is_never_filled_unasked(run: Runner, empty_postgres_url: str) -> None:
    found = run("ps", PIXMILL_DATABASE_URL=empty_postgres_url)
    assert found.code == 78
    assert "hint:  pixmill db upgrade" in found.err
    assert f"revision none → {HEAD}" in run("db", "upgrade", PIXMILL_DATABASE_URL=empty_postgres_url).err
    assert run("ps", PIXMILL_DATABASE_URL=empty_postgres_url).code == 0
    assert "already" in run("db", "upgrade", PIXMILL_DATABASE_URL=empty_postgres_url).err


def test_the_commands_work_on_postgresql(run: Runner, postgres_url: str) -> None:
    where = {"PIXMILL_DATABASE_URL": postgres_url}
    assert run("submit", "train", "--model", "vae", "--dataset", "digits", "-l", "a=b", "-q", **where).out == "1\n"
    assert run("ps", "-l", "a=b", "-o", "ids", **where).out == "1\n"
    assert "NoWorker" in run("job", "show", 1, **where).out
    assert run("job", "hold", 1, **where).code == 0
    assert "1. Held" in run("job", "why", 1, **where).out
    assert run("job", "release", "--state", "held", "-y", **where).code == 0
    assert run("job", "set", 1, "--priority", 3, "--dry-run", **where).code == 0
    assert run("queue", "set", "default", "--max-running", 2, **where).code == 0
    assert run("queue", "ls", **where).code == 0
    assert run("cancel", 1, **where).code == 0
    assert run("wait", 1, **where).code == 103


def test_a_home_that_cannot_be_made_is_a_matter_of_permission(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = run("--home", tmp_path / "file" / "home", "ps")
    assert found.code == 77
    assert "cannot be made" in found.err


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"PIXMILL_HOMEE": "x"}, "did you mean 'PIXMILL_HOME'?"),
        ({"PIXMILL_BROKER_TIMEOUT_SECONDS": "-1"}, "broker.timeout_seconds"),
        ({"PIXMILL_DATABASE_URL": "mysql://x"}, "pixmill knows sqlite and postgresql"),
        ({"PIXMILL_CONFIG": "/no/such/file.toml"}, "does not exist"),
    ],
)
def test_settings_that_do_not_fit_are_a_configuration_error(variables: dict[str, str], words: str, run: Runner) -> None:
    found = run("ps", **variables)
    assert (found.code, found.out) == (78, "")
    assert words in found.err


def outcome(act: object, debug: bool = False) -> int:
    assert callable(act)
    with pytest.raises(SystemExit) as end:
        run_reporting(act, wants_debug=lambda: debug)
    assert isinstance(end.value.code, int)
    return end.value.code


def test_an_expected_error_is_two_lines(capsys: pytest.CaptureFixture[str]) -> None:
    def act() -> None:
        raise CorruptFile("shard 3 has changed", hint="make it again")

    assert outcome(act) == 1
    assert capsys.readouterr() == ("", "error: shard 3 has changed\nhint:  make it again\n")
    assert outcome(act, debug=True) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_unexpected_error_is_one_clear_line_that_names_the_debug_option(capsys: pytest.CaptureFixture[str]) -> None:
    def act() -> None:
        raise ZeroDivisionError("division by zero\nand more")

    assert outcome(act) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("error: unexpected ZeroDivisionError: division by zero\n")
    assert "pixmill --debug" in shown
    assert "Traceback" not in shown
    outcome(act, debug=True)
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_ends_with_the_code_that_shells_use(capsys: pytest.CaptureFixture[str]) -> None:
    def act() -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise click.Abort from None

    assert outcome(act) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_the_debug_variable_and_option_show_where_errors_come_from(run: Runner) -> None:
    assert "Traceback" not in run("job", "show", 9).err
    assert "Traceback" in run("--debug", "job", "show", 9).err
    assert "Traceback" in run("job", "show", 9, PIXMILL_DEBUG="1").err


def test_a_reader_that_leaves_early_ends_the_command_quietly(world: World) -> None:
    for _ in range(3):
        world.train()
    command = subprocess.Popen(
        command_line("ps", "-o", "wide"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), text=True
    )
    assert command.stdout is not None
    command.stdout.close()
    _out, err = command.communicate(timeout=30)
    assert err == ""
    assert command.returncode == 1


def test_a_name_for_the_user_is_found_even_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from cli.context import user_name

    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 4242")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert user_name().startswith("uid ")


def test_settings_and_database_are_opened_when_they_are_asked_for(home: Path) -> None:
    workspace = Workspace()
    workspace.close()
    assert workspace.settings.home == home
    assert workspace.database.is_sqlite
    workspace.close()


def test_usage_errors_in_a_process_of_its_own_leave_no_traceback() -> None:
    found = in_subprocess("job", "show")
    assert found.code == 2
    assert found.err == "error: missing argument 'ID'\nhint:  pixmill job show --help\n"


def test_a_name_that_is_no_text_is_one_line(run: Runner, world: World) -> None:
    """As the shell gives bytes that are not UTF-8."""
    found = run("model", "history", "caf\udce9")
    assert (found.code, found.out) == (2, "")
    assert found.err == "error: 'caf\\udce9' is not UTF-8\nhint:  give names and texts in UTF-8\n"
