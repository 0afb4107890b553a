"""What control groups leave a worker: both versions, as a container and as a service sees them."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from worker.allotment import cores, memory_bytes, memory_used_bytes

ALL_CORES = len(os.sched_getaffinity(0))
MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
MEBIBYTE = 2**20
TREES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "container, version 2": (
        "0::/",
        {
            "cpu.max": "150000 100000",
            "memory.max": str(64 * MEBIBYTE),
            "memory.current": str(40 * MEBIBYTE),
            "memory.stat": f"anon 1\ninactive_file {8 * MEBIBYTE}\n",
        },
    ),
    "service, version 2: its slice has the lower limit": (
        "0::/system.slice/worker.service",
        {
            "system.slice/cpu.max": "100000 100000",
            "system.slice/worker.service/cpu.max": "max 100000",
            "system.slice/worker.service/memory.max": str(64 * MEBIBYTE),
            "system.slice/worker.service/memory.current": str(32 * MEBIBYTE),
        },
    ),
    "container, version 1: the path is that of the host": (
        "4:memory:/docker/0a1b\n2:cpu,cpuacct:/docker/0a1b\n0::/",
        {
            "cpu/cpu.cfs_quota_us": "199999",
            "cpu/cpu.cfs_period_us": "100000",
            "memory/memory.limit_in_bytes": str(64 * MEBIBYTE),
            "memory/memory.usage_in_bytes": str(33 * MEBIBYTE),
            "memory/memory.stat": f"inactive_file 1\ntotal_inactive_file {MEBIBYTE}",
        },
    ),
}


def grow(folder: Path, own: str, files: Mapping[str, str]) -> tuple[Path, Path]:
    groups, own_groups = folder / "cgroup", folder / "own"
    groups.mkdir()
    own_groups.write_text(own)
    for name, text in files.items():
        (groups / name).parent.mkdir(parents=True, exist_ok=True)
        (groups / name).write_text(text)
    return groups, own_groups


@pytest.mark.parametrize("tree", TREES)
def test_a_worker_counts_what_its_groups_leave_it(tree: str, tmp_path: Path) -> None:
    where = grow(tmp_path, *TREES[tree])
    assert cores(*where) == 1
    assert memory_bytes(*where) == 64 * MEBIBYTE
    assert memory_used_bytes(*where) == 32 * MEBIBYTE


@pytest.mark.parametrize(
    ("own", "files"),
    [
        ("0::/", {"cpu.max": "max 100000", "memory.max": "max"}),
        ("2:cpu:/\n4:memory:/", {"cpu/cpu.cfs_quota_us": "-1", "memory/memory.limit_in_bytes": str(2**63 - 4096)}),
        ("", {}),
    ],
)
def test_without_limits_a_worker_counts_the_machine(own: str, files: Mapping[str, str], tmp_path: Path) -> None:
    where = grow(tmp_path, own, files)
    assert (cores(*where), memory_bytes(*where), memory_used_bytes(*where)) == (ALL_CORES, MACHINE, None)


def test_a_share_of_a_core_is_one_thread(tmp_path: Path) -> None:
    assert cores(*grow(tmp_path, "0::/", {"cpu.max": "20000 100000"})) == 1


def test_this_process_has_some() -> None:
    assert 1 <= cores() <= ALL_CORES
    assert 0 < memory_bytes() <= MACHINE
