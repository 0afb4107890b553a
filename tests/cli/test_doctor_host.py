"""Disks, and what processes have left on this host."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.doctor import disk
from cli.doctor.findings import Level
from cli.doctor.leftovers import examine_leftovers
from cli.local.locks import FileLock
from cli.local.processes import ProcessMark
from cli.local.record import ChildRecord, UpRecord, lock_path, record_path
from pixmill.errors import PixmillError
from pixmill.settings import Settings, load_settings
from tests.cli.diagnosing import only, wrong


def place(**changes: Any) -> disk.Place:
    values: dict[str, Any] = {
        "name": "storage",
        "folder": Path("/data"),
        "exists": True,
        "free_bytes": 10**12,
        "inodes": 10**6,
        "free_inodes": 10**5,
        "write_seconds": 0.001,
        "links": True,
    }
    return disk.Place(**(values | changes))


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({}, Level.OK),
        ({"inodes": 0, "free_inodes": 0}, Level.OK),
        ({"write_seconds": None, "exists": False}, Level.OK),
        ({"free_bytes": 2 * 10**9}, Level.WARNING),
        ({"free_bytes": 4 * 10**8}, Level.PROBLEM),
        ({"free_inodes": 1000}, Level.WARNING),
        ({"write_seconds": 2.0}, Level.WARNING),
    ],
)
def test_room_inodes_and_speed_of_a_disk_are_judged(changes: dict[str, Any], level: Level) -> None:
    (found,) = disk.examine_place(place(**changes))
    assert found.state is level
    assert "/data" in found.detail
    assert bool(found.remedy) is (level is not Level.OK)


def test_a_real_folder_is_written_linked_and_left_as_it_was(tmp_path: Path) -> None:
    found = disk.measure(tmp_path, "storage")
    assert found.links
    assert found.write_seconds is not None
    assert found.free_bytes > 0
    assert list(tmp_path.iterdir()) == []
    later = disk.measure(tmp_path / "not" / "yet", "storage")
    assert (later.exists, later.write_seconds) == (False, None)
    assert not (tmp_path / "not").exists()


def test_a_folder_that_refuses_is_named() -> None:
    with pytest.raises(PixmillError, match="cannot write in /proc/self"):
        disk.measure(Path("/proc/self"), "storage")


def test_storage_and_home_in_one_folder_are_measured_once(tmp_path: Path) -> None:
    names = disk.places(load_settings(flags={"home": tmp_path}))
    assert names[tmp_path] == "storage and home"
    apart = disk.places(load_settings(flags={"home": tmp_path, "storage.root": tmp_path / "root"}))
    assert list(apart.values())[:2] == ["storage", "home"]


def test_a_file_system_without_links_is_told(tmp_path: Path) -> None:
    assert list(disk.examine_links(place(), tmp_path)) == []
    assert "no hard links" in only(disk.examine_links(place(links=False), tmp_path)).detail


def test_outputs_on_another_file_system_than_runs_are_told(tmp_path: Path) -> None:
    other = Path("/dev/shm")
    if tmp_path.stat().st_dev == other.stat().st_dev:
        other = Path("/proc")
    (tmp_path / "runs").mkdir()
    (tmp_path / "outputs").symlink_to(other)
    assert "two file systems" in only(disk.examine_links(place(), tmp_path)).detail


def test_an_embedded_database_on_a_network_file_system_is_a_problem(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("/dev/vda / ext4 rw 0 0\nserver:/x /data/shared\\040disk nfs4 rw 0 0\n")
    assert list(disk.examine_remote(Path("/data/pixmill.db"), mounts)) == []
    found = only(disk.examine_remote(Path("/data/shared disk/home/pixmill.db"), mounts))
    assert "nfs4" in found.detail
    assert found.state is Level.PROBLEM


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    settings = load_settings(flags={"home": tmp_path / "home"})
    settings.run_folder.mkdir(parents=True)
    return settings


def ended_process() -> ProcessMark:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    mark = ProcessMark.of(process.pid)
    assert mark is not None
    process.communicate()
    return mark


def record(settings: Settings, supervisor: ProcessMark, *children: ChildRecord) -> None:
    made = UpRecord(
        supervisor=supervisor,
        host=socket.gethostname(),
        version="0",
        started_at="2026-11-21T00:00:00Z",
        devices=("cpu",),
        children=children,
    )
    made.write(record_path(settings))


def child(mark: ProcessMark | None, exits: int = 0) -> ChildRecord:
    last = "was ended by SIGKILL" if exits else None
    return ChildRecord(name="worker-cpu", role="worker", log="/log", mark=mark, exits=exits, last_exit=last)


def this_process() -> ProcessMark:
    mark = ProcessMark.of(os.getpid())
    assert mark is not None
    return mark


def test_a_home_that_was_never_served_has_left_nothing(home: Settings) -> None:
    shutil.rmtree(home.run_folder)
    assert wrong(examine_leftovers(home)) == {}


def test_locks_of_processes_that_have_ended_are_harmless(home: Settings) -> None:
    dead = ended_process()
    with FileLock(home.run_folder / "device-cpu.lock") as held, FileLock(home.run_folder / "redis.lock") as left:
        assert held.acquire()
        held.sign(os.getpid())
        left.sign(dead.pid)
        (found,) = examine_leftovers(home)
    assert found.state is Level.OK
    assert found.detail.startswith("2 lock files, 1 held; of processes that have ended, and harmless: redis.lock")
    assert str(dead.pid) in found.detail


def test_a_supervisor_that_was_killed_is_told_with_what_still_runs(home: Settings) -> None:
    dead = ended_process()
    record(home, dead, child(dead))
    found = only(examine_leftovers(home))
    assert (found.remedy, "nothing of it runs any more" in found.detail) == ("pixmill up", True)
    record(home, dead, child(this_process()))
    found = only(examine_leftovers(home))
    assert (found.remedy, "still running: worker-cpu" in found.detail) == ("pixmill down", True)


def test_a_supervisor_at_work_is_in_order_unless_a_child_does_not_stay_up(home: Settings) -> None:
    with FileLock(lock_path(home)) as lock:
        assert lock.acquire()
        record(home, this_process(), child(this_process()))
        assert wrong(examine_leftovers(home)) == {}
        record(home, this_process(), child(None, exits=3))
        found = only(examine_leftovers(home))
    assert found.detail == "worker-cpu was ended by SIGKILL, 3 times since `up`"
    assert found.remedy == "read its log: /log"


def test_a_socket_without_its_server_is_told(home: Settings) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        folder = home.broker_socket.parent
        folder.mkdir(parents=True, exist_ok=True)
        server.bind(str(home.broker_socket))
    found = only(examine_leftovers(home))
    assert found.remedy == "pixmill up"
    home.broker_socket.unlink()
