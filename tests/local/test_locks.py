import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

from cli.local.locks import FileLock, holder_of, is_held
from tests.waiting import wait_until


def test_a_lock_has_one_holder_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "run" / "up.lock"
    with FileLock(path) as first, FileLock(path) as second:
        assert first.acquire()
        assert not second.acquire()
        assert is_held(path)
    assert not is_held(path)


def test_looking_at_a_lock_makes_no_file(tmp_path: Path) -> None:
    assert not is_held(tmp_path / "up.lock")
    assert holder_of(tmp_path / "up.lock") is None
    assert list(tmp_path.iterdir()) == []


def test_the_holder_signs_with_its_pid(tmp_path: Path) -> None:
    path = tmp_path / "up.lock"
    path.write_text("123456789\n")
    with FileLock(path) as lock:
        lock.sign(7)
    assert holder_of(path) == 7


def test_who_only_looks_at_a_lock_keeps_nobody_from_taking_it(tmp_path: Path) -> None:
    path = tmp_path / "up.lock"
    with FileLock(path) as lock:
        look = os.open(path, os.O_RDONLY)
        fcntl.flock(look, fcntl.LOCK_SH)
        timer = threading.Timer(0.05, os.close, [look])
        timer.start()
        assert lock.acquire()
        timer.join()


def test_a_process_that_inherits_the_lock_holds_it_until_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "server.lock"
    with FileLock(path) as lock:
        assert lock.acquire()
        heir = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[lock.descriptor])
    assert is_held(path)
    heir.kill()
    heir.wait()
    assert heir.stdin is not None
    heir.stdin.close()
    wait_until(lambda: not is_held(path), timeout=30)


def test_a_child_that_does_not_inherit_the_lock_does_not_keep_it(tmp_path: Path) -> None:
    path = tmp_path / "up.lock"
    with FileLock(path) as lock:
        assert lock.acquire()
        stranger = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    assert not is_held(path)
    stranger.communicate()
