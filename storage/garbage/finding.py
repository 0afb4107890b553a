"""What lies below runs/: folders of attempts, removals that were interrupted, and what pixmill has not made."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pixmill.errors import StorageError
from storage.faults import named_faults
from storage.garbage.folders import RUNS, TRASH_PREFIX, AttemptFolder, list_entries, open_folder
from storage.garbage.verdicts import Scrap, Waste
from storage.garbage.weighing import weigh

_NUMBER = re.compile(r"[1-9][0-9]{0,17}")  # an id or epoch, as `Layout` writes it


@dataclass(frozen=True, kw_only=True)
class JobFolders:
    """What lies below runs/<job>."""

    job_id: int
    attempts: tuple[AttemptFolder, ...]
    trash: tuple[Scrap, ...]  # folders whose removal was interrupted
    strangers: tuple[str, ...]  # root-relative; not made by pixmill, and left alone


def list_jobs(root: Path) -> Iterator[int | str]:
    """Yield ids of the jobs that have a folder below runs/, and the paths of whatever else lies there.

    The entries come as the file system gives them, one at a time. Raises StorageError for a runs/ that is a link.
    """
    folder = root / RUNS
    if folder.is_symlink():
        raise StorageError(
            f"{folder} is a symbolic link, and links are not followed", hint="let storage.root name the real folder"
        )
    if not folder.exists():
        return
    with named_faults(folder, "read"), open_folder(root, (RUNS,)) as descriptor, os.scandir(descriptor) as entries:
        for entry in entries:
            yield int(entry.name) if _is_numbered(entry) else f"{RUNS}/{entry.name}"


def list_attempts(root: Path, job_id: int) -> JobFolders:
    """Find what lies below runs/<job>; a folder that vanishes meanwhile is empty.  Raises StorageError."""
    attempts, trash, strangers = [], [], []
    top = (RUNS, str(job_id))
    for task in list_entries(root, top):
        if not _is_numbered(task):
            strangers.append("/".join((*top, task.name)))
            continue
        for epoch in list_entries(root, (*top, task.name)):
            parts = (*top, task.name, epoch.name)
            if _is_numbered(epoch):
                attempts.append(AttemptFolder(job_id, int(task.name), int(epoch.name)))
            elif epoch.name.startswith(TRASH_PREFIX) and epoch.is_dir(follow_symlinks=False):
                trash.append(Scrap(parts=parts, waste=Waste.TRASH, usage=weigh(root.joinpath(*parts)).usage))
            else:
                strangers.append("/".join(parts))
    return JobFolders(job_id=job_id, attempts=tuple(attempts), trash=tuple(trash), strangers=tuple(strangers))


def _is_numbered(entry: "os.DirEntry[str]") -> bool:
    return bool(_NUMBER.fullmatch(entry.name)) and entry.is_dir(follow_symlinks=False)
