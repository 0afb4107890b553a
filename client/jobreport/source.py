"""The rows and folders of one job, as the sections of its report are made from them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy.orm import Session

from client.modelfacts import model_facts
from db.listing import JobLine
from db.registry import resolve_model, version_of_job
from db.tables.fleet import Worker
from db.tables.jobs import Attempt, Job, Task
from db.tables.models import ModelVersion
from db.tables.published import Shard
from db.views import job_attempts, job_tasks
from pixmill.errors import PixmillError
from pixmill.settings import Settings
from pixmill.specs import Spec, parse_spec
from storage.paths import Layout
from storage.places import Place, in_bucket
from storage.records import ShardRecord
from storage.s3.bucket import located


class JobSource:
    """What the database and the storage of this host hold of a job."""

    def __init__(self, session: Session, settings: Settings, line: JobLine) -> None:
        self.session = session
        self.layout = Layout(settings.storage_root)
        self._endpoint = settings.storage.endpoint
        self.line = line
        self.tasks: Sequence[Task] = job_tasks(session, line.job.id)
        self.attempts: Sequence[tuple[Attempt, Task, Worker]] = job_attempts(session, line.job.id)

    @property
    def job(self) -> Job:
        """Its row."""
        return self.line.job

    @property
    def spec(self) -> Spec:
        """What was asked for."""
        return parse_spec(self.job.spec)

    @property
    def folders(self) -> list[Path]:
        """Those of its attempts, in order of time."""
        return [self.layout.resolve(attempt.folder) for attempt, _task, _worker in self.attempts]

    def results(self, role: str) -> list[dict[str, Any]]:
        """What the tasks of that role have found, of those that have ended."""
        return [task.result for task in self.tasks if task.role.value == role and task.result]

    def result(self, role: str) -> dict[str, Any]:
        """What the one task of that role has found; empty until it has."""
        return next(iter(self.results(role)), {})

    def existing(self, relative: str | None) -> Path | None:
        """The file of a root-relative path, or None when it is not on this host."""
        if not relative:
            return None
        path = self.layout.resolve(relative)
        return path if path.is_file() else None

    @contextmanager
    def place_of(self, shard: Shard) -> Iterator[Place]:
        """Where a shard is to be read, for as long as the block lasts."""
        record = ShardRecord.from_json(shard.record)
        with TemporaryDirectory(prefix="pixmill-") as scratch:
            stored = in_bucket([(shard.folder, record)], self._endpoint, Path(scratch) / "fetched")
            yield stored or self.layout.resolve(shard.folder)

    def output_of(self, assembled: Mapping[str, Any]) -> str:
        """Where the data set of a finished assemble task lies."""
        return located(str(assembled["output"]), self.layout.root)

    def trained_version(self) -> ModelVersion | None:
        """The version that a train job has published."""
        return version_of_job(self.session, self.job.id)

    def facts_of_used_model(self, named: str | None = None) -> dict[str, object]:
        """What is to be known of the model that the job works with, or that is named."""
        name = named or str(self.job.spec["model"])
        try:
            found = resolve_model(self.session, name)
        except PixmillError as error:
            return {"model": name, "note": error.message}
        return model_facts(found) if isinstance(found, ModelVersion) else {"model": f"job:{found.id}"}
