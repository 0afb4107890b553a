"""What files tell of a later database than the one that is there, as after a restore from a copy."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cli.doctor.bucketcollection import AnyCollection
from cli.doctor.collection import Sight, acknowledged_time
from cli.doctor.findings import Finding, ok, problem
from client.wording import plural
from db.engine import Database
from db.references import JobReferences, job_references
from db.taken import numbered
from db.timeline import LaterIds
from storage.garbage.judging import MODEL
from storage.garbage.verdicts import Standing
from storage.places import INDEX_FILE

PART = "timeline"
SHOWN = 5  # names that a line gives
BATCH = 500  # data sets that are asked about in one go


@dataclass
class Later:
    """What no row knows, and of which nobody has said why."""

    attempts: int = 0
    jobs: set[int] = field(default_factory=set)  # of these attempts
    datasets: set[int] = field(default_factory=set)  # jobs with a finished data set, and without a row of a shard
    lost: set[int] = field(default_factory=set)  # of these jobs, those without a row
    models: list[str] = field(default_factory=list)  # folders
    unclaimed: list[str] = field(default_factory=list)  # models and data sets that were there at an acknowledgement
    task: int = 0  # the largest id
    pipeline_run: int = 0
    epochs: dict[int, int] = field(default_factory=dict)  # task id → its largest

    def __bool__(self) -> bool:
        return bool(self.attempts or self.datasets)

    @property
    def ids(self) -> LaterIds:
        """What the later database had given."""
        job = max(self.jobs | self.datasets, default=0)
        return LaterIds(job=job, task=self.task, pipeline_run=self.pipeline_run, epochs=self.epochs)

    @property
    def summary(self) -> str:
        """How much there is."""
        parts = [f"{plural(self.attempts, 'attempt')} of {plural(len(self.jobs), 'job')}"] if self.attempts else []
        parts += [f"the data set of {_names('job', sorted(self.datasets))}"] if self.datasets else []
        parts += [f"{_names('model', self.models)}"] if self.models else []
        return ", ".join(parts)

    def look(self, sight: Sight) -> None:
        """Take in what was met on a walk."""
        verdict = sight.verdict
        if verdict is None or verdict.standing is not Standing.ORPHAN:
            return
        if sight.lot is not None:
            self._look_at_bucket(sight)
            return
        assert sight.judgement is not None
        folder = sight.judgement.folder
        models = [f"{folder.path}/{MODEL}"] if verdict.is_published else []
        if not verdict.is_later:
            self.unclaimed += models
            return
        self.attempts += 1
        self.jobs.add(folder.job_id)
        self.models += models
        self.task = max(self.task, folder.task_id)
        self.epochs[folder.task_id] = max(folder.epoch, self.epochs.get(folder.task_id, 0))

    def _look_at_bucket(self, sight: Sight) -> None:
        assert sight.lot is not None
        lot, verdict = sight.lot.lot, sight.lot
        if verdict.is_later:
            self.attempts += lot.attempt is not None
            self.jobs.add(lot.job_id)
            if verdict.is_published:
                self.datasets.add(lot.job_id)
                self.lost.add(lot.job_id)
        elif verdict.is_published and lot.attempt is None:
            self.unclaimed.append(f"the data set of job {lot.job_id} in the bucket")

    def look_at_root(self, database: Database, root: Path) -> None:
        """Take in finished data sets, and pages of pipeline runs.  Raises DatabaseUnreachable."""
        found = sorted(numbered(root / "outputs"))
        with database.read() as session:
            acknowledged = acknowledged_time(session)
            for first in range(0, len(found), BATCH):
                lot = found[first : first + BATCH]
                known = job_references(session, lot)
                for job_id in lot:
                    self._look_at_dataset(root, job_id, known.get(job_id), acknowledged)
        pages = (page.stem.removeprefix("run-") for page in (root / "reports/pipelines").glob("*/run-*.html"))
        self.pipeline_run = max((int(text) for text in pages if text.isdecimal()), default=0)

    def _look_at_dataset(self, root: Path, job_id: int, rows: JobReferences | None, acknowledged: float) -> None:
        index = root / f"outputs/{job_id}" / INDEX_FILE
        if (rows is not None and rows.shards) or not index.is_file():
            return
        if index.stat().st_mtime > acknowledged:
            self.datasets.add(job_id)
            self.lost |= {job_id} if rows is None else set()
        elif rows is None:
            self.unclaimed.append(f"outputs/{job_id}")


def _names(what: str, names: "list[int] | list[str]") -> str:
    """A few of them.

    >>> _names("job", [3, 5]), _names("job", list(range(7)))
    ('job 3, 5', 'job 0, 1, 2, 3, 4 and 2 more')
    """
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return f"{what} {', '.join(map(str, names[:SHOWN]))}{more}"


def examine_later(later: Later) -> Iterator[Finding]:
    """Whether the database is the one that the files were written with."""
    if later:
        detail = f"no row knows {later.summary}: the database is older than its files, as one restored from a copy is"
        yield problem(PART, detail, "pixmill db restored --dry-run; docs/operations.md#restore has all of it")
    elif later.unclaimed:
        detail = f"left by a database that was lost: {_names('', sorted(later.unclaimed)).strip()}"
        yield ok(PART, f"{detail}; gc leaves them alone")
    else:
        yield ok(PART, "no file is later than the database")


def survey(database: Database, root: Path, collections: Iterable[AnyCollection]) -> Later:
    """Look through all that lies there.  Raises as the walk of a collection does."""
    later = Later()
    for collection in collections:
        for sight in collection.walk():
            later.look(sight)
    later.look_at_root(database, root)
    return later
