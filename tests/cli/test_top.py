"""The live view: everything at one glance, on any terminal."""

import signal
from collections.abc import Iterator

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from cli.context import Workspace
from cli.formatting import columns_of
from cli.topscreen import Space, screen_lines
from client.glance import SHOWN_JOBS, Glance, glance
from db.control import top_job
from db.jobs import add_job
from db.queues import pause_queue, set_queue
from db.tables.fleet import DeviceKind
from db.workers import Reading, beat_worker
from tests.cli.running import Runner, Terminal, at_once, without_escapes
from tests.cli.world import World
from tests.rows import act, new_job


def arrange(world: World) -> None:
    """A busy device and one that waits for its queue's limit; jobs that run, wait, are held, and are held back."""
    world.scheduler()
    world.worker()
    gpu = world.worker("cuda:0", kind=DeviceKind.CUDA)
    reading = Reading(utilisation=0.625, memory_bytes=4_000_000_000)
    world.database.transact(lambda session: beat_worker(session, gpu.id, reading))
    world.train(name="night", user="ann")
    world.progress(world.claim(gpu), 4350)
    world.train(name="elsewhere", queue="lab")
    act(world.database, pause_queue, "lab", actor="olga", why="move of the rack")
    act(world.database, set_queue, "default", actor="olga", max_running=1)
    world.train(name="patient")
    world.train(name="urgent", priority=100)
    world.train(name="kept", hold=True)


def add_waiting(world: World, count: int) -> None:
    def add(session: Session) -> None:
        for number in range(count):
            add_job(session, new_job(name=f"more-{number}"))

    world.database.transact(add)


@pytest.fixture
def workspace(world: World) -> Iterator[Workspace]:
    opened = Workspace()
    opened.home = world.home
    yield opened
    opened.close()


def names(seen: Glance) -> list[str]:
    return [line.job.name for line in seen.waiting]


def test_everything_stands_on_one_screen_once_and_plain_in_a_pipe(run: Runner, world: World) -> None:
    arrange(world)
    found = run("top")
    assert (found.code, found.err) == (0, "")
    assert "\x1b" not in found.out
    blocks = [block.splitlines() for block in at_once(found.out).split("\n\n")]
    (summary,), queues, devices, running, waiting, events = blocks
    assert summary == "1 job running, 3 waiting, 1 held; 2 workers: 1 free, 1 busy (job 1)"
    assert [line.split()[:2] for line in queues[1:]] == [["default", "full"], ["lab", "paused"]]
    assert devices[0].split("  ")[0] == "DEVICE"
    assert devices[1].split()[2:6] == ["free", "–", "–", "–"]
    assert "█████░░░  62%  ██░░░░░░ 4.0 GB of 16.0 GB  test device" in devices[2]
    assert running[1].split()[:6] == ["1", "night", "train", "███░░░░░", "43%", "812/s"]
    assert [line.split()[1] for line in waiting[1:]] == ["urgent", "elsewhere", "patient", "kept"]
    assert waiting[2].endswith("QueuePaused: move of the rack")
    assert waiting[3].endswith("QueueLimit: queue default runs 1 of 1")
    assert events[0].split() == ["AGE", "JOB", "WHAT", "STATE", "WHO", "DETAIL"]
    assert events[1].split()[1:5] == ["5", "submit", "held", "olga"]


def test_a_wide_list_of_devices_has_their_load(run: Runner, world: World) -> None:
    arrange(world)
    head, _cpu, gpu = run("device", "ls", "-o", "wide").lines
    assert "MEMORY    USED  UTIL" in head
    assert " 16.0 GB  4.0 GB   62% " in gpu
    assert "USED" not in run("device", "ls").out


def test_the_same_as_json_holds_all_counts_and_the_first_jobs(run: Runner, world: World) -> None:
    arrange(world)
    add_waiting(world, SHOWN_JOBS)
    item = run("top", "-o", "json").json["item"]  # held against its schema
    assert item["counts"] == {"pending": 3 + SHOWN_JOBS, "queued": 0, "running": 1, "held": 1}
    assert [job["name"] for job in item["running"]] == ["night"]
    assert len(item["waiting"]) == SHOWN_JOBS
    assert item["waiting"][0]["reason"] == "QueueLimit"
    assert [device["utilisation"] for device in item["devices"]] == [None, 0.625]
    assert item["troubles"] == []
    assert {"job_id", "actor", "action", "detail"} <= set(item["events"][0])


def test_a_home_without_anything_says_what_to_do(run: Runner, world: World) -> None:
    assert run("top").lines == [
        "0 jobs running, 0 waiting; no worker",
        "no scheduler runs; start one: pixmill up",
    ]


@pytest.mark.parametrize(("columns", "rows"), [(40, 10), (60, 20), (80, 24), (200, 60)])
def test_the_screen_fits_any_terminal_and_counts_what_it_leaves_out(
    columns: int, rows: int, world: World, workspace: Workspace
) -> None:
    arrange(world)
    add_waiting(world, 50)
    for colored in (False, True):
        lines = screen_lines(glance(workspace), Space(columns=columns, rows=rows, colored=colored))
        plain = [without_escapes(line) for line in lines]
        assert len(lines) <= rows
        assert max(map(columns_of, plain)) <= columns
        assert any("\x1b" in line for line in lines) == colored
    shown = sum(" more-" in line or "  urgent " in line or "  patient " in line for line in plain)
    if rows >= 20:
        (left_out,) = [line for line in plain if line.startswith("… and ")]
        others = sum(name in line for line in plain for name in ("  elsewhere ", "  kept "))
        assert left_out == f"… and {54 - shown - others} more"


def test_what_the_scheduler_would_start_next_stands_first(world: World, workspace: Workspace) -> None:
    world.scheduler()
    world.worker()
    world.train(name="second")
    world.train(name="held", hold=True)
    world.train(name="third")
    first = world.train(name="first")
    act(world.database, top_job, first, actor="olga", why="now")
    assert names(glance(workspace)) == ["first", "second", "third", "held"]


def test_what_waits_of_an_array_stands_in_one_line_and_counts_as_often(
    run: Runner, world: World, workspace: Workspace
) -> None:
    arrange(world)
    run("submit", "ping", "--array", "0-99", "--name", "many")
    run("submit", "ping", "--array", "1,5,9", "--hold", "--name", "few")
    seen = glance(workspace, collapses=True)
    assert names(seen) == ["urgent", "elsewhere", "patient", "kept", "many", "few"]
    lines = screen_lines(seen, Space())
    assert [line.split()[:2] for line in lines if " many " in line or " few " in line] == [
        ["6[0-99]", "many"],
        ["106[1,5,9]", "few"],
    ]
    assert not any(line.startswith("… and ") for line in lines)
    (left_out,) = [line for line in screen_lines(seen, Space(rows=22)) if line.startswith("… and ")]
    assert left_out == "… and 105 more"
    assert len(run("top", "-o", "json").json["item"]["waiting"]) == SHOWN_JOBS


def test_a_glance_takes_as_many_statements_for_a_thousand_jobs_as_for_ten(world: World, workspace: Workspace) -> None:
    arrange(world)
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_others: object) -> None:
        statements.append(statement)

    event.listen(workspace.database.engine, "before_cursor_execute", note)
    counts = []
    for more in (6, 990):
        add_waiting(world, more)
        statements.clear()
        assert glance(workspace, collapses=True).count("pending") > more
        counts.append(len(statements))
    assert counts[0] == counts[1] < 40


def test_a_database_that_is_not_there_is_an_error(run: Runner, closed_port: int) -> None:
    url = f"postgresql://olga@127.0.0.1:{closed_port}/x"
    for words in (("top",), ("top", "-o", "json")):
        found = run(*words, PIXMILL_DATABASE_URL=url)
        assert (found.code, found.out) == (69, "")
        assert found.err.startswith("error: ")


def test_intervals_that_no_terminal_could_follow_are_refused(run: Runner) -> None:
    assert "the shortest is 0.2 seconds" in run("top", "0.01").err


def test_on_a_terminal_it_is_drawn_again_until_ctrl_c(world: World) -> None:
    arrange(world)
    terminal = Terminal("top", "0.2", columns=100)
    terminal.read_until("QueuePaused")
    world.train(name="a-later-one")
    terminal.read_until("a-later-one")
    terminal.process.send_signal(signal.SIGINT)
    found = terminal.finish()
    assert found.code == 130
    assert found.out.endswith("detached; to come back: pixmill top 0.2\n")
