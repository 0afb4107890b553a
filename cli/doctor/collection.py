"""Garbage collection: the folders below runs/, judged by the rows of the same moment, and cleared one by one.

Folders are listed before the rows are read: a worker makes its folder after its claim is committed, so whatever was
seen on the disk has its row by then.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sqlalchemy.orm import Session

from db.engine import Database
from db.references import JobReferences, foreign_paths, job_references
from db.timeline import acknowledged_at
from storage.garbage.finding import JobFolders, list_attempts, list_jobs
from storage.garbage.folders import AttemptFolder
from storage.garbage.judging import judge
from storage.garbage.removal import remove, remove_empty_folders
from storage.garbage.verdicts import Claims, Judgement, Scrap, Verdict
from storage.garbage.weighing import Usage
from storage.records import CONTAINERS, shard_stem
from storage.s3.garbage import LotVerdict

BATCH_JOBS = 200  # asked about in one go: memory stays flat however many there are


@dataclass(frozen=True, kw_only=True)
class Sight:
    """One thing met on the walk: what an attempt has left, a removal to be finished, or something that is not ours."""

    judgement: Judgement | None = None
    lot: LotVerdict | None = None
    trash: Scrap | None = None
    stranger: str | None = None

    @property
    def verdict(self) -> Verdict | None:
        """Over what an attempt has left, or a job in a bucket."""
        return self.judgement or self.lot

    @property
    def scraps(self) -> tuple[Scrap, ...]:
        """What of it may go."""
        if self.trash is not None:
            return (self.trash,)
        return self.verdict.scraps if self.verdict is not None else ()


class Collection:
    """One look at all of runs/, and the removal of what it finds."""

    def __init__(self, database: Database, root: Path, grace_seconds: float) -> None:
        self._database = database
        self._root = root
        self._cutoff = time.time() - grace_seconds  # by this host's clock, as the times of files are
        self._foreign: frozenset[str] | None = None
        self._acknowledged = 0.0

    def walk(self) -> Iterator[Sight]:
        """Everything below runs/, as it is met.  Raises DatabaseUnreachable or StorageError."""
        found = list_jobs(self._root)
        while batch := list(islice(found, BATCH_JOBS)):
            yield from (Sight(stranger=path) for path in batch if isinstance(path, str))
            jobs = [list_attempts(self._root, job_id) for job_id in batch if isinstance(job_id, int)]
            references = self._references(job.job_id for job in jobs)
            for job in jobs:
                yield from self._walk_job(job, references.get(job.job_id))

    def _walk_job(self, job: JobFolders, references: JobReferences | None) -> Iterator[Sight]:
        yield from (Sight(stranger=path) for path in job.strangers)
        yield from (Sight(trash=scrap) for scrap in job.trash)
        for folder in job.attempts:
            yield Sight(judgement=self._judge(folder, references))

    def clear(self, sight: Sight) -> Usage:
        """Remove what of this may go by the rows of this very moment; gives how much that was.

        Raises DatabaseUnreachable, PermissionDenied or StorageError.
        """
        if sight.judgement is None:
            return remove(self._root, sight.scraps)
        folder = sight.judgement.folder
        references = self._references([folder.job_id]).get(folder.job_id)
        removed = remove(self._root, self._judge(folder, references).scraps)
        if references is None or folder.task_id not in references.task_ids:
            remove_empty_folders(self._root, folder.job_id, folder.task_id)
        return removed

    def _references(self, job_ids: Iterable[int]) -> dict[int, JobReferences]:
        with self._database.read() as session:
            if self._foreign is None:
                self._foreign = frozenset(foreign_paths(session))
                self._acknowledged = acknowledged_time(session)
            return dict(job_references(session, list(job_ids)))

    def _judge(self, folder: AttemptFolder, references: JobReferences | None) -> Judgement:
        claims = self._claims(folder, references)
        return judge(self._root, folder, claims, cutoff=self._cutoff, acknowledged=self._acknowledged)

    def _claims(self, folder: AttemptFolder, references: JobReferences | None) -> Claims:
        foreign = self._foreign or frozenset()
        if references is None:
            return Claims(has_attempt=False, needed=foreign)
        attempt = references.attempts.get(folder.path)
        needed = references.paths | set(_shard_files(references, folder)) | foreign
        if attempt is None:
            return Claims(has_attempt=False, needed=frozenset(needed))
        return Claims(
            has_attempt=True,
            is_live=attempt.is_live,
            is_latest=attempt.is_latest,
            has_ended=attempt.has_ended,
            needed=frozenset(needed),
        )


def acknowledged_time(session: Session) -> float:
    """Until when files may lie there without a row, since somebody has said why; seconds since 1970."""
    at = acknowledged_at(session)
    return 0.0 if at is None else at.timestamp()


def _shard_files(references: JobReferences, folder: AttemptFolder) -> Iterator[str]:
    for number in references.shards.get(folder.path, ()):
        stem = shard_stem(number)
        names = {f"{stem}.parquet", f"{stem}.json", *(name.format(stem=stem) for name in CONTAINERS.values())}
        yield from (f"{folder.path}/{name}" for name in sorted(names))
