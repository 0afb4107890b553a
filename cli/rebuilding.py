"""Which shards of a job lie on the disk without a row, and the rows that they get."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from cli.context import Workspace
from db.finding import get_job
from db.outputs import require_at_rest, restore_shards
from db.registry import resolve_model
from db.tables.jobs import Job, Role, Task
from db.tables.models import ModelVersion
from db.tables.published import Shard
from db.views import job_shards, job_tasks
from pixmill.errors import NotFound, PixmillError
from pixmill.kinds import DATASET_MAKERS
from pixmill.specs import AnimateSpec, EditSpec, GenerateSpec, RestoreSpec, parse_spec
from pixmill.states import State
from storage.garbage.folders import AttemptFolder
from storage.markers import ShardMarker
from storage.places import outputs_url
from storage.rebuilding import FoundShard, bring_back, find_assembled, find_shards, find_stored, prove_stored
from storage.s3.bucket import is_url


@dataclass
class Rebuilt:
    """What became of the shards of a job."""

    restored: list[int] = field(default_factory=list)
    present: int = 0
    missing: list[int] = field(default_factory=list)  # neither row nor files, of a job that had ended
    refused: list[str] = field(default_factory=list)  # one line for each that is not what it should be


@dataclass(frozen=True)
class _Known:
    """What the rows say of a job."""

    job: Job
    tasks: Sequence[Task]  # those that make shards
    numbers: frozenset[int]  # of shards with a row
    digest: str | None  # of the model, once it is there
    is_stored: bool  # whether shards of it are known to lie in a bucket
    outputs: str | None  # where those would lie

    @property
    def shard_size(self) -> int:
        spec = parse_spec(self.job.spec)
        assert isinstance(spec, GenerateSpec | AnimateSpec | EditSpec | RestoreSpec)
        return spec.shard_size


def rebuild(workspace: Workspace, job_id: int, *, actor: str) -> Rebuilt:
    """Add the rows of complete shards that have none.

    Raises NotFound for a job that makes no shards, and Conflict while one of its tasks runs.
    """
    with workspace.database.read() as session:
        known = _read(session, job_id, workspace.settings.storage.outputs)
    outcome = Rebuilt(present=len(known.numbers))
    found = _prove(workspace, known, outcome)
    rows = [_row(known.job.id, shard) for shard in found.values()]
    outcome.restored = workspace.database.transact(lambda session: restore_shards(session, job_id, rows, actor=actor))
    if known.job.state is State.SUCCEEDED:
        planned = range(-(-known.job.progress_total // known.shard_size))
        outcome.missing = [number for number in planned if number not in known.numbers | found.keys()]
    return outcome


def _read(session: Session, job_id: int, outputs: str | None) -> _Known:
    job = get_job(session, job_id)
    if job.kind not in DATASET_MAKERS:
        raise NotFound(f"job {job_id} is of kind {job.kind}: it has no shards", hint="pixmill output ls")
    require_at_rest(session, job_id)  # before any file is put where a running attempt may write
    model, shards = resolve_model(session, job.spec["model"]), job_shards(session, job_id)
    stored = [row.folder for row in shards if is_url(row.folder)]
    return _Known(
        job,
        [task for task in job_tasks(session, job_id) if task.role is Role.GENERATE],
        frozenset(row.number for row in shards),
        model.digest if isinstance(model, ModelVersion) else None,
        bool(stored),
        outputs_url(stored[0]) if stored else None if shards else outputs,
    )


def _prove(workspace: Workspace, known: _Known, outcome: Rebuilt) -> Mapping[int, FoundShard]:
    """The shards that may have a row, by number: whole, and of this job."""
    proven: dict[int, FoundShard] = {}
    for shard in _candidates(workspace, known):
        number = shard.marker.record.number
        if number in known.numbers or number in proven:
            continue
        try:
            difference = _difference(known, shard.marker)
            if difference is None:
                if shard.url is None:
                    bring_back(workspace.layout, shard)
                else:
                    prove_stored(shard, workspace.settings.storage.endpoint, workspace.scratch)
                proven[number] = shard
            else:
                outcome.refused.append(f"shard {number} in {shard.place} {difference}")
        except PixmillError as error:
            outcome.refused.append(f"shard {number}: {error.message}")
    return dict(sorted(proven.items()))


def _candidates(workspace: Workspace, known: _Known) -> Iterator[FoundShard]:
    """What attempts have left, then what lies in the data set: that goes back into the folder of an attempt.

    Shards of one job lie in one place: of one in a bucket only what lies there.
    """
    ids, layout = {task.id for task in known.tasks}, workspace.layout
    if known.outputs is not None:
        endpoint = workspace.settings.storage.endpoint
        stored = find_stored(known.outputs, endpoint, known.job.id, workspace.scratch)
        in_bucket = [shard for shard in stored if shard.folder.task_id in ids]
        if in_bucket or known.is_stored:
            yield from in_bucket
            return
    yield from (shard for shard in find_shards(layout, known.job.id) if shard.folder.task_id in ids)
    for marker in find_assembled(layout, known.job.id):
        task = next((task for task in known.tasks if _makes(task, marker.record.number)), None)
        if task is not None:
            attempt = AttemptFolder(known.job.id, task.id, max(1, task.lease_epoch))
            yield FoundShard(attempt, marker, layout.output_folder(known.job.id))


def _makes(task: Task, number: int) -> bool:
    first = task.params.get("first_shard", 0)
    return bool(first <= number < first + task.params.get("shards", number + 1))


def _difference(known: _Known, marker: ShardMarker) -> str | None:
    """What tells that a shard is of another job; None: nothing."""
    spec: Mapping[str, Any] = known.job.spec
    if marker.meta.seed != spec["seed"]:
        return f"was made of seed {marker.meta.seed}; the job has {spec['seed']}"
    if known.digest is not None and marker.meta.checkpoint_sha256 != known.digest:
        return "was made by another model than the job's"
    if marker.record.first_index != marker.record.number * known.shard_size:
        return f"begins at image {marker.record.first_index}; shards of the job have {known.shard_size:,} images"
    return None


def _row(job_id: int, shard: FoundShard) -> Shard:
    record = shard.marker.record
    return Shard(
        job_id=job_id,
        task_id=shard.folder.task_id,
        lease_epoch=shard.folder.epoch,
        number=record.number,
        folder=shard.place,
        record=record.to_json(),
        image_count=record.count,
        size_bytes=record.tar_bytes + record.parquet_bytes,
    )
