import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil

from cli.local.processes import (
    ProcessMark,
    send_signal,
    spawn_bound,
    spawn_detached,
    wait_until_ended,
)
from pixmill.interpreter import python_command, with_our_code
from tests.local.conftest import ROOT
from tests.waiting import is_alive, wait_until

BIND_AND_WAIT = """
import sys
from cli.local.processes import spawn_bound
with open(sys.argv[1], "wb") as log:
    print(spawn_bound(["sleep", "600"], log, {}).pid, flush=True)
input()
"""


def test_a_mark_tells_a_process_from_a_later_one_with_its_pid() -> None:
    mine = ProcessMark.of(os.getpid())
    assert mine is not None
    assert mine.is_alive()
    assert not replace(mine, start_ticks=mine.start_ticks - 1).is_alive()
    assert replace(mine, start_ticks=mine.start_ticks - 1).open() is None


def test_a_zombie_counts_as_ended() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert ProcessMark.of(child.pid) is None
    child.wait()
    assert ProcessMark.of(child.pid) is None


def test_a_mark_survives_brackets_and_blanks_in_the_name_of_the_program(tmp_path: Path) -> None:
    program = tmp_path / "a) S 1 2 (b"
    program.symlink_to("/bin/sleep")
    child = subprocess.Popen([program, "600"])
    mark = ProcessMark.of(child.pid)
    assert mark is not None
    assert mark.start_ticks > 0
    child.kill()
    child.wait()


def test_waiting_ends_with_the_last_process() -> None:
    quick = subprocess.Popen(["true"])
    slow = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    marks = [mark for mark in (ProcessMark.of(quick.pid), ProcessMark.of(slow.pid)) if mark is not None]
    assert [mark.pid for mark in wait_until_ended(marks, 0.05)] == [slow.pid]
    slow.communicate()
    assert wait_until_ended(marks, 10.0) == []
    quick.wait()


def test_waiting_for_nobody_takes_no_time() -> None:
    began = time.monotonic()
    assert wait_until_ended([], 60.0) == []
    assert time.monotonic() - began < 1.0


def test_a_bound_process_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", BIND_AND_WAIT, str(tmp_path / "log")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    assert is_alive(child)
    parent.kill()
    parent.communicate()
    wait_until(lambda: not is_alive(child), timeout=30)


def test_a_bound_process_is_out_of_reach_of_the_terminal(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        child = spawn_bound(["sleep", "600"], log, {})
    assert os.getsid(child.pid) == child.pid
    descriptor = os.pidfd_open(child.pid)
    send_signal(descriptor, signal.SIGKILL)
    select.select([descriptor], [], [], 10.0)
    child.wait()
    send_signal(descriptor, signal.SIGKILL)  # it has ended: nothing happens
    os.close(descriptor)


def test_a_detached_process_has_its_own_session_and_writes_into_its_log(tmp_path: Path) -> None:
    command = python_command("-c", "import os; print(os.getsid(0) == os.getpid(), os.read(0, 1))")
    with (tmp_path / "log").open("wb") as log:
        pid = spawn_detached(command, log, with_our_code(os.environ))
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert (tmp_path / "log").read_text().split() == ["True", "b''"]


def test_a_child_runs_our_pixmill_whatever_lies_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "cli").mkdir()
    (tmp_path / "cli" / "__init__.py").write_text("raise SystemExit('hijacked')")
    found = subprocess.run(
        python_command("-c", "import cli; print(cli.__file__)"),
        cwd=tmp_path,
        env=with_our_code(os.environ),
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(found.stdout.strip()) == ROOT / "cli" / "__init__.py"
