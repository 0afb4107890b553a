"""Screens that are drawn again and again."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import make_url

from cli.watching import CLEAR_BELOW, CLEAR_LINE, HIDE_CURSOR, HOME, SHOW_CURSOR, _at_most, _fitted
from tests.cli.running import Runner, Terminal, on_terminal
from tests.cli.tree import COMMANDS
from tests.cli.world import World
from tests.databases import administrate

WATCHED = ("ps", "job ls", "status", "queue ls", "worker ls", "device ls", "pipeline ls")


def test_what_changes_by_itself_can_be_watched() -> None:
    able = {
        name.removeprefix("pixmill ")
        for name, command in COMMANDS.items()
        if "--watch" in [opt for param in command.params for opt in param.opts]
    }
    assert able == set(WATCHED)


@contextmanager
def away(url: str) -> Iterator[None]:
    """The database takes no connection, and has cut those that it had."""
    name = make_url(url).database
    server = make_url(url).set(database="postgres")
    cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    administrate(server, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false", cut)
    try:
        yield
    finally:
        administrate(server, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def test_a_watched_list_follows_outlives_the_database_and_is_left_alone(
    run: Runner, postgres_url: str, cloned_postgres_url: str
) -> None:
    where = {"PIXMILL_DATABASE_URL": postgres_url}
    assert run("submit", "ping", "-q", **where).out == "1\n"
    terminal = Terminal("ps", "-w", "0.2", "--columns", "id,state", variables=where)
    terminal.read_until("pending")
    assert run("job", "hold", 1, **where).code == 0
    terminal.read_until("held")
    with away(cloned_postgres_url):
        terminal.read_until("looking again: database")
        terminal.text = ""
        terminal.read_until("held")
    terminal.text = ""
    assert run("cancel", 1, **where).code == 0
    terminal.read_until("cancelled")
    terminal.process.send_signal(signal.SIGINT)
    found = terminal.finish()
    assert found.code == 130
    assert found.out.endswith(
        f"{SHOW_CURSOR}detached; to come back: pixmill ps -w 0.2 --columns id,state\n",
    )


def test_a_screen_is_drawn_over_the_one_before_and_never_cleared_first(world: World) -> None:
    world.train(name="n" * 100)
    terminal = Terminal("ps", "--watch", "0.2", columns=60)
    for _ in range(2):
        terminal.read_until(CLEAR_BELOW)
        text, terminal.text = terminal.text, ""
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.finish().code == 130
    assert HIDE_CURSOR not in text
    *_before, frame = text.partition(HOME)
    lines = frame.partition(CLEAR_BELOW)[0].split("\r\n")[:-1]
    assert len(lines) == 3
    assert all(line.endswith(CLEAR_LINE) for line in lines)
    assert lines[0].startswith("every 0.2s  ")
    assert "\x1b[2J" not in text
    assert "\x1b[?1049" not in text


@pytest.mark.parametrize("name", WATCHED)
def test_in_a_pipe_there_is_nothing_to_draw_on(name: str, run: Runner) -> None:
    found = run(*name.split(), "-w")
    assert (found.code, found.out) == (2, "")
    assert "--watch draws on a terminal, and stdout is none that can" in found.err
    found = run(*name.split(), "--watch", "5", "-o", "json")
    assert (found.code, found.out) == (2, "")
    assert "does not go with -o json" in found.err


def test_intervals_that_no_terminal_could_follow_are_refused(run: Runner) -> None:
    assert "the shortest is 0.2 seconds" in run("ps", "-w", "0.01").err
    assert "is not a time span" in run("ps", "-w", "often").err


def test_a_dumb_terminal_is_none_that_can() -> None:
    found = on_terminal("status", "-w", TERM="dumb")
    assert found.code == 2
    assert "is none that can" in found.out


def test_a_screen_is_no_higher_and_no_wider_than_the_terminal() -> None:
    lines = [str(number) for number in range(10)]
    assert _at_most(lines, 10) == lines
    assert _at_most(lines, 4) == ["0", "1", "2", "… 7 more lines"]
    assert _fitted("hint: long", 5) == "hint…"
    assert _fitted("\x1b[1mID\x1b[0m", 3) == "\x1b[1mID\x1b[0m"
