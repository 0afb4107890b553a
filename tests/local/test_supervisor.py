import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from cli.local.record import UpRecord, record_path
from pixmill.settings import Settings
from tests.local.conftest import ROOT, clean_variables
from tests.waiting import is_alive, wait_until

SLEEP = "sleep 600"
# Says that it heard SIGTERM, and stays.
STUBBORN = """sh -c 'trap "echo heard" TERM; echo ready; while true; do sleep 600 & wait $!; done'"""

Supervise = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def supervise(home: Path) -> Iterator[Supervise]:
    """Starts a supervisor over the given children; kills it and its log is shown when a test leaves it running."""
    started = []

    def start(*children: str, **variables: str) -> "subprocess.Popen[bytes]":
        home.mkdir(exist_ok=True)
        with (home / "supervisor.log").open("wb") as log:
            command = [sys.executable, "-m", "tests.local.supervising", str(home), *children]
            process = subprocess.Popen(command, cwd=ROOT, stderr=log, env=clean_variables() | variables)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def _pids(settings: Settings) -> dict[str, int]:
    record = UpRecord.read(record_path(settings))
    return {child.name: child.mark.pid for child in record.children if child.mark} if record else {}


def _wait_for(settings: Settings, count: int) -> dict[str, int]:
    wait_until(lambda: len(_pids(settings)) == count, timeout=30)
    return _pids(settings)


def _wait_for_log(settings: Settings, name: str, word: str) -> None:
    path = settings.log_folder / f"{name}.log"
    wait_until(lambda: path.exists() and word in path.read_text(), timeout=30)


def test_the_record_names_living_processes(settings: Settings, supervise: Supervise) -> None:
    process = supervise(f"scheduler={SLEEP}", f"worker-cpu={SLEEP}")
    pids = _wait_for(settings, 2)
    record = UpRecord.read(record_path(settings))
    assert record is not None
    assert record.supervisor.pid == process.pid
    assert {child.name for child in record.living_children()} == {"scheduler", "worker-cpu"} == set(pids)


def test_a_killed_child_is_started_again(settings: Settings, supervise: Supervise) -> None:
    supervise(f"scheduler={SLEEP}", f"worker-cpu={SLEEP}")
    before = _wait_for(settings, 2)
    psutil.Process(before["worker-cpu"]).kill()
    wait_until(lambda: _pids(settings).get("worker-cpu") not in {None, before["worker-cpu"]}, timeout=30)
    after = _pids(settings)
    assert after["scheduler"] == before["scheduler"]
    assert is_alive(psutil.Process(after["worker-cpu"]))
    record = UpRecord.read(record_path(settings))
    assert record is not None
    child = record.child("worker-cpu")
    assert child is not None
    assert (child.exits, child.last_exit) == (1, "was ended by SIGKILL")


def test_a_child_that_never_lives_is_tried_again_and_again(settings: Settings, supervise: Supervise) -> None:
    supervise("scheduler=false", f"worker-cpu={SLEEP}")

    def exits() -> int:
        record = UpRecord.read(record_path(settings))
        child = record.child("scheduler") if record else None
        return child.exits if child else 0

    wait_until(lambda: exits() >= 3, timeout=30)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_supervisor_leaves_nothing(settings: Settings, supervise: Supervise, number: signal.Signals) -> None:
    process = supervise(f"server={SLEEP}", f"scheduler={SLEEP}", f"worker-cpu={SLEEP}")
    children = [psutil.Process(pid) for pid in _wait_for(settings, 3).values()]
    process.send_signal(number)
    assert process.wait(timeout=30) == 0
    assert not any(map(is_alive, children))


def test_a_killed_supervisor_leaves_nothing(settings: Settings, supervise: Supervise) -> None:
    process = supervise(f"server={SLEEP}", f"scheduler={SLEEP}", f"worker-cpu={SLEEP}")
    children = [psutil.Process(pid) for pid in _wait_for(settings, 3).values()]
    process.kill()
    wait_until(lambda: not any(map(is_alive, children)), timeout=30)


def test_workers_end_before_what_they_need(settings: Settings, supervise: Supervise) -> None:
    process = supervise(f"server={SLEEP}", f"scheduler={SLEEP}", f"worker-cpu={STUBBORN}")
    pids = _wait_for(settings, 3)
    _wait_for_log(settings, "worker-cpu", "ready")
    process.terminate()
    _wait_for_log(settings, "worker-cpu", "heard")
    assert is_alive(psutil.Process(pids["scheduler"]))
    assert is_alive(psutil.Process(pids["server"]))
    psutil.Process(pids["worker-cpu"]).kill()
    assert process.wait(timeout=30) == 0
    assert not psutil.pid_exists(pids["server"])


def test_a_worker_that_outstays_its_grace_is_killed(settings: Settings, supervise: Supervise) -> None:
    process = supervise(f"worker-cpu={STUBBORN}", PIXMILL_WORKER_STOP_GRACE_SECONDS="600")
    pid = _wait_for(settings, 1)["worker-cpu"]
    _wait_for_log(settings, "worker-cpu", "ready")
    process.terminate()
    _wait_for_log(settings, "worker-cpu", "heard")
    process.send_signal(signal.SIGINT)  # the second signal: no more grace
    assert process.wait(timeout=30) == 0
    assert not psutil.pid_exists(pid)
    assert "killed" in (settings.home / "supervisor.log").read_text()


def test_a_signal_while_a_child_waits_for_its_next_start_is_heard(settings: Settings, supervise: Supervise) -> None:
    process = supervise("scheduler=false")
    wait_until(lambda: UpRecord.read(record_path(settings)), timeout=30)
    process.terminate()
    assert process.wait(timeout=30) == 0


def test_a_record_that_cannot_be_written_stops_nothing(settings: Settings, supervise: Supervise) -> None:
    (record_path(settings) / "in the way").mkdir(parents=True)
    process = supervise("worker-cpu=sh -c 'echo working; exec sleep 600'")
    _wait_for_log(settings, "worker-cpu", "working")
    log = settings.home / "supervisor.log"
    wait_until(lambda: "the record is not up to date" in log.read_text(), timeout=30)
    assert process.poll() is None
    process.terminate()
    assert process.wait(timeout=30) == 0
