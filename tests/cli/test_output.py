import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from cli.formatting import columns_of, cut, printable
from cli.output import Column, table_lines
from db.tables.jobs import Job
from tests.cli.running import in_subprocess, on_terminal, without_escapes
from tests.cli.world import World

COLUMNS = [
    Column(title="ID", align="right"),
    Column(title="NAME", shrinks=True, least=12),
    Column(title="KIND", dropped=2),
    Column(title="STATE"),
    Column(title="AGE", align="right", dropped=1),
    Column(title="REASON", shrinks=True),
]
CELLS = st.lists(st.text(max_size=60), min_size=6, max_size=6)


@given(st.lists(CELLS, min_size=1, max_size=5), st.integers(10, 200))
def test_no_line_of_a_table_is_wider_than_the_terminal(rows: list[list[str]], width: int) -> None:
    for line in table_lines(COLUMNS, rows, width=width, colored=False):
        assert columns_of(line) <= width
        assert "\n" not in line


@given(st.lists(CELLS, min_size=1, max_size=5), st.integers(10, 200))
def test_colour_changes_nothing_but_the_colour(rows: list[list[str]], width: int) -> None:
    plain = table_lines(COLUMNS, rows, width=width, colored=False)
    colored = table_lines(COLUMNS, [["1", *row[1:3], "failed", *row[4:]] for row in rows], width=width, colored=True)
    assert len(plain) == len(colored) == len(rows) + 1
    assert all(columns_of(without_escapes(line)) <= width for line in colored)


@given(st.lists(CELLS, min_size=1, max_size=5))
def test_a_table_for_a_pipe_loses_nothing_that_can_be_printed(rows: list[list[str]]) -> None:
    _title, *lines = table_lines(COLUMNS, rows, width=None, colored=False)
    for row, line in zip(rows, lines, strict=True):
        for cell in row:
            assert printable(cell).rstrip() in line


def test_columns_leave_a_narrow_table_by_their_rank() -> None:
    row = ["1", "a-name-of-a-job", "generate", "succeeded", "10m", "because of something"]
    titles = {width: table_lines(COLUMNS, [row], width=width, colored=False)[0].split() for width in (80, 54, 45)}
    assert titles[80] == ["ID", "NAME", "KIND", "STATE", "AGE", "REASON"]
    assert titles[54] == ["ID", "NAME", "KIND", "STATE", "AGE", "REASON"]
    assert titles[45] == ["ID", "NAME", "STATE", "AGE", "REASON"]


def test_long_cells_are_cut_before_any_line_breaks() -> None:
    row = ["1", "n" * 100, "train", "failed", "1m", "r" * 100]
    _title, line = table_lines(COLUMNS, [row], width=80, colored=False)
    assert len(line) == 80
    assert line.count("…") == 2


def test_wide_letters_keep_their_columns_aligned() -> None:
    columns = [Column(title="NAME"), Column(title="STATE")]
    lines = table_lines(columns, [["数字", "running"], ["abcd", "running"]], width=None, colored=False)
    assert columns_of(lines[1].partition("running")[0]) == columns_of(lines[2].partition("running")[0])


@given(st.text(), st.integers(0, 50))
def test_cut_never_exceeds_its_width(text: str, width: int) -> None:
    assert columns_of(cut(text, width)) <= max(width, 0) or columns_of(text) <= width


@given(st.text())
def test_printable_text_is_one_line_without_control_characters(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in shown)
    assert not set(shown) & set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u2069\ud800")


def hostile(world: World) -> None:
    job_id = world.train(name="n" * 100, labels={"note": "x\x1b]0;owned\x07"})
    message = "first\nsecond\x1b[2J\u202egnp" + "m" * 200
    world.database.transact(
        lambda session: session.execute(
            update(Job).where(Job.id == job_id).values(state="failed", reason="UserError", message=message)
        )
    )


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_on_a_terminal_every_job_is_one_line_that_fits(columns: int, world: World) -> None:
    hostile(world)
    world.train(name="second")
    found = on_terminal("ps", columns=columns)
    assert found.code == 0
    lines = without_escapes(found.out).splitlines()
    assert len(lines) == 3
    assert all(columns_of(line) <= columns for line in lines)
    assert "\x1b[31mfailed\x1b[0m" in found.out
    assert "\x1b[2J" not in found.out


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_that_wants_no_colour_gets_none(variable: str, value: str, world: World) -> None:
    hostile(world)
    assert "\x1b" not in on_terminal("ps", columns=80, **{variable: value}).out
    failing = on_terminal("wait", 1, columns=80, **{variable: value})
    assert failing.code == 100
    assert "\x1b[3" not in failing.out
    if variable == "TERM":
        assert "\x1b" not in failing.out


def test_in_a_pipe_nothing_is_cut_or_coloured_and_json_is_json(world: World) -> None:
    hostile(world)
    table = in_subprocess("ps", COLUMNS="40")
    assert "\x1b" not in table.out
    assert "m" * 200 in table.out
    assert len(table.lines) == 2
    document = in_subprocess("ps", "-o", "json", COLUMNS="40")
    assert json.loads(document.out)["items"][0]["name"] == "n" * 100
    assert document.out.isascii()
