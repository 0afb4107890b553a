"""`up` and `down` with the real server, scheduler and worker."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cli.local.record import UpRecord, lock_path, record_path
from cli.local.server import answers
from db.engine import open_database
from db.workers import latest_scheduler, present_workers
from pixmill.settings import Settings, load_settings
from tests.local.conftest import Pixmill, clean_variables, processes_of
from tests.waiting import is_alive, wait_until


@pytest.fixture(scope="module")
def running(short_folder: Path) -> Iterator[Pixmill]:
    """A home that is served while the tests of this file run."""
    pixmill = Pixmill(short_folder / "running", clean_variables())
    up = pixmill("up", "--device", "cpu")
    assert up.returncode == 0, up.stderr
    assert [line.split(" (pid")[0] for line in up.stderr.splitlines()[:3]] == [
        "server is ready",
        "scheduler is ready",
        "worker-cpu is ready",
    ]
    assert f"logs: {pixmill.home}/logs" in up.stderr
    yield pixmill
    down = pixmill("down")
    assert down.returncode == 0, down.stderr
    assert "stopped server, scheduler, worker-cpu" in down.stderr
    assert processes_of(pixmill.home) == []
    assert not (pixmill.home / "run" / "up.json").exists()
    assert not (pixmill.home / "run" / "redis.sock").exists()
    assert _present(load_settings(flags={"home": pixmill.home})) == 0


def _record(pixmill: Pixmill) -> UpRecord:
    record = UpRecord.read(pixmill.home / "run" / "up.json")
    assert record is not None
    return record


def _present(settings: Settings) -> int:
    """Workers and schedulers that have not said goodbye."""
    database = open_database(settings)
    with database.read() as session:
        scheduler = latest_scheduler(session)
        count = len(present_workers(session)) + (scheduler is not None and scheduler.stopped_at is None)
    database.dispose()
    return count


def test_a_second_up_is_refused(running: Pixmill) -> None:
    second = running("up", "--device", "cpu")
    assert second.returncode == 4
    assert f"already running on {running.home} (pid {_record(running).supervisor.pid})" in second.stderr
    assert "pixmill down" in second.stderr


def test_a_second_up_in_the_foreground_is_refused_too(running: Pixmill) -> None:
    assert running("up", "--device", "cpu", "--foreground").returncode == 4


def _scheduler_pid(home: Path) -> int:
    database = open_database(load_settings(flags={"home": home}))
    with database.read() as session:
        latest = latest_scheduler(session)
    database.dispose()
    assert latest is not None
    return latest.pid


def _kill(pixmill: Pixmill, name: str) -> int:
    """Kill one of the supervisor's children; gives its pid."""
    child = _record(pixmill).child(name)
    assert child is not None
    assert child.mark is not None
    process = psutil.Process(child.mark.pid)
    process.kill()
    wait_until(lambda: not is_alive(process), timeout=30)
    return process.pid


def test_a_killed_scheduler_comes_back(running: Pixmill) -> None:
    pid = _kill(running, "scheduler")
    wait_until(lambda: _scheduler_pid(running.home) != pid, timeout=30)
    assert is_alive(psutil.Process(_scheduler_pid(running.home)))


def test_a_killed_server_comes_back_on_the_same_socket(running: Pixmill) -> None:
    settings = load_settings(flags={"home": running.home})
    _kill(running, "server")
    wait_until(lambda: answers(settings), timeout=30)


def test_the_supervisor_is_out_of_reach_of_the_terminal(running: Pixmill) -> None:
    supervisor = psutil.Process(_record(running).supervisor.pid)
    assert supervisor.terminal() is None
    assert all(child.terminal() is None for child in supervisor.children())


def test_nothing_is_left_after_the_supervisor_is_killed_and_the_next_up_works(pixmill: Pixmill) -> None:
    assert pixmill("up", "--device", "cpu").returncode == 0
    processes = processes_of(pixmill.home)
    assert len(processes) >= 5  # supervisor, server, scheduler, worker, device process
    psutil.Process(_record(pixmill).supervisor.pid).send_signal(signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, processes)), timeout=30)
    down = pixmill("down")
    assert (down.returncode, "nothing runs" in down.stderr) == (0, True)
    assert not (pixmill.home / "run" / "up.json").exists()


def test_down_on_a_home_that_is_not_served_says_so(pixmill: Pixmill) -> None:
    down = pixmill("down")
    assert (down.returncode, down.stderr) == (0, f"nothing runs on {pixmill.home}\n")
    assert not pixmill.home.exists()


def test_a_home_that_cannot_be_written_is_refused(pixmill: Pixmill) -> None:
    # The kernel's own file system lets nobody make a folder, not even root.
    up = Pixmill(Path("/sys/pixmill"), pixmill.variables)("up", "--device", "cpu")
    assert up.returncode == 77
    assert "/sys/pixmill" in up.stderr
    assert "Traceback" not in up.stderr


def test_a_home_below_a_file_is_refused(pixmill: Pixmill, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    up = Pixmill(tmp_path / "file" / "home", pixmill.variables)("up", "--device", "cpu")
    assert up.returncode == 1
    assert f"{tmp_path}/file/home: Not a directory" in up.stderr


def test_a_device_that_is_not_there_is_refused_before_anything_starts(pixmill: Pixmill) -> None:
    up = pixmill("up", "--device", "cuda:99")
    assert up.returncode == 2
    assert "device cuda:99 was asked for; this host has" in up.stderr
    assert not (pixmill.home / "run" / "up.lock").exists()


def test_a_child_that_cannot_start_is_named_and_everything_is_stopped(pixmill: Pixmill, tmp_path: Path) -> None:
    program = tmp_path / "valkey-server"
    program.write_text("#!/bin/sh\necho 'Fatal: no luck today'\nexit 3\n")
    program.chmod(0o755)
    up = pixmill("up", "--device", "cpu", PATH=f"{tmp_path}:/usr/bin:/bin")
    assert up.returncode == 1
    assert "server does not stay up: it ended with code 3" in up.stderr
    assert "  Fatal: no luck today" in up.stderr
    assert f"{pixmill.home}/logs/server.log" in up.stderr
    assert processes_of(pixmill.home) == []


def test_in_the_foreground_ctrl_c_stops_everything(pixmill: Pixmill, settings: Settings) -> None:
    process = pixmill.start("up", "--device", "cpu", "--foreground")
    wait_until(
        lambda: (record := UpRecord.read(record_path(settings))) and len(record.living_children()) == 3, timeout=30
    )
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    events = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    assert [each["action"] for each in events if each["message"] == "started"].count("start") == 3
    assert {each.get("child") for each in events} >= {"server", "scheduler", "worker-cpu"}


def test_a_home_of_another_host_is_left_alone(pixmill: Pixmill, settings: Settings) -> None:
    path = record_path(settings)
    path.parent.mkdir(parents=True)
    record = {
        "format": 1,
        "supervisor": {"pid": 1, "start_ticks": 0},
        "host": "elsewhere.example",
        "version": "0.1.0",
        "started_at": "",
        "devices": [],
        "children": [],
    }
    path.write_text(json.dumps(record))
    down = pixmill("down")
    assert down.returncode == 4
    assert "elsewhere.example" in down.stderr
    assert path.exists()
    assert not lock_path(settings).exists()
