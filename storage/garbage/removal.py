"""How what may go is removed: nobody meets half a folder, and no link is followed."""

import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from storage.faults import named_faults
from storage.garbage.folders import RUNS, TRASH_PREFIX, open_folder
from storage.garbage.verdicts import Scrap
from storage.garbage.weighing import Usage


def remove(root: Path, scraps: Iterable[Scrap]) -> Usage:
    """Delete files and folders; gives how much that was. What is gone already was removed by somebody else.

    A folder is renamed before it is emptied, so that nobody ever meets half of one under its name; an interrupted
    removal is found by its trash name, and goes with the next. No link is followed, in no part of the path. Raises
    PermissionDenied or StorageError.
    """
    removed = Usage()
    # The marker of a shard goes before the files that it vouches for.
    for scrap in sorted(scraps, key=lambda scrap: not scrap.path.endswith(".json")):
        with named_faults(root.joinpath(*scrap.parts), "remove"):
            try:
                with open_folder(root, scrap.parts[:-1]) as descriptor:
                    _remove_entry(descriptor, scrap.parts[-1])
            except FileNotFoundError:
                continue
        removed += scrap.usage
    return removed


def _remove_entry(descriptor: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=descriptor)
    except IsADirectoryError:
        trash = name
        if not name.startswith(TRASH_PREFIX):
            trash = f"{TRASH_PREFIX}{secrets.token_hex(8)}"
            os.rename(name, trash, src_dir_fd=descriptor, dst_dir_fd=descriptor)
        shutil.rmtree(trash, dir_fd=descriptor)


def remove_empty_folders(root: Path, job_id: int, task_id: int) -> None:
    """Remove the folders of a task and a job that hold nothing.

    Only for those without rows: in any other a worker may be about to make the folder of its attempt.
    """
    task = (RUNS, str(job_id), str(task_id))
    for parts in (task, task[:-1]):
        try:
            with open_folder(root, parts[:-1]) as descriptor:
                os.rmdir(parts[-1], dir_fd=descriptor)
        except OSError:  # not empty, or gone
            return
