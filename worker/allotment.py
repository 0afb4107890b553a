"""What of this machine a process may use: the cores and the memory that its control groups leave it.

A container sees every core and all the memory of its host; it is throttled beyond the one limit and killed beyond the
other. Both versions of Linux' control groups are read, from the group of the process up to the root that it sees.
"""

import os
from collections.abc import Iterator
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")


def cores(groups: Path = GROUPS, own_groups: Path = OWN_GROUPS) -> int:
    """How many threads may compute at the same time; a part of a core beyond whole ones is left to everything else."""
    allowed = len(os.sched_getaffinity(0))
    return max(1, min([allowed, *(int(quota) for quota in _quotas(groups, own_groups))]))


def memory_bytes(groups: Path = GROUPS, own_groups: Path = OWN_GROUPS) -> int:
    """How much memory there is for this process and its siblings."""
    return min([_machine_bytes(), *(limit for _, limit in _limited(groups, own_groups))])


def memory_used_bytes(groups: Path = GROUPS, own_groups: Path = OWN_GROUPS) -> int | None:
    """How much of a limited `memory_bytes` is taken; None where the whole machine may be used."""
    nearest = next((folder for folder, limit in _limited(groups, own_groups) if limit < _machine_bytes()), None)
    if nearest is None:
        return None
    taken = _number(nearest / "memory.current") or _number(nearest / "memory.usage_in_bytes") or 0
    return max(0, taken - _cached(nearest))


def _machine_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _cached(folder: Path) -> int:
    """Pages of files that the kernel takes back before anybody is killed."""
    pages = dict(line.split(" ", 1) for line in _text(folder / "memory.stat").splitlines())
    return int(pages.get("total_inactive_file") or pages.get("inactive_file") or 0)


def _quotas(groups: Path, own_groups: Path) -> Iterator[float]:
    """Cores' worth of time, of every group that has a limit."""
    for folder in _folders("cpu", groups, own_groups):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        quota = quota or _text(folder / "cpu.cfs_quota_us")
        period = period or _text(folder / "cpu.cfs_period_us")
        if quota.isdecimal() and period.isdecimal() and int(period):
            yield int(quota) / int(period)


def _limited(groups: Path, own_groups: Path) -> Iterator[tuple[Path, int]]:
    """The groups that limit memory, nearest first, and their bytes."""
    for folder in _folders("memory", groups, own_groups):
        limit = _number(folder / "memory.max") or _number(folder / "memory.limit_in_bytes")
        if limit:
            yield folder, limit


def _folders(controller: str, groups: Path, own_groups: Path) -> Iterator[Path]:
    """Those of the process's groups that may limit it, from its own to the root of what it sees."""
    for line in _text(own_groups).splitlines():
        number, names, path = line.split(":", 2)
        if number == "0":
            root = groups
        elif controller in names.split(","):
            root = groups / controller
        else:
            continue
        folder = root / path.lstrip("/")
        # In a container of version 1 the path is that of the host, which is not there: the root is its own group.
        yield from (place for place in (folder, *folder.parents) if place.is_relative_to(root) and place.is_dir())


def _number(file: Path) -> int | None:
    text = _text(file)
    return int(text) if text.isdecimal() else None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except OSError:
        return ""
