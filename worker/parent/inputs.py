"""From a lease to the assignment: everything that the device process needs, read from the database."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from db.finding import get_job
from db.leases import Lease
from db.registry import resolve_model
from db.runfacts import run_facts
from db.tables.jobs import Role
from db.tables.models import ModelVersion
from db.tables.published import CheckpointKind, Shard
from db.views import job_shards, job_tasks, task_checkpoints
from pixmill.errors import Conflict, CorruptRow, PixmillError, SpecError
from pixmill.settings import Settings
from pixmill.specs import parse_spec
from pixmill.traces import new_trace_parent
from storage.places import outputs_url
from storage.s3.bucket import is_url
from worker.assignment import Assignment, ModelInput, ShardInput
from worker.parent.beginning import beginning_inputs, stored_file


def build_assignment(session: Session, lease: Lease, settings: Settings, threads: int) -> Assignment:
    """The assignment of a claimed task.  Raises NotFound or Conflict when what it refers to is gone."""
    bare = Assignment(
        job_id=lease.job_id,
        task_id=lease.task_id,
        epoch=lease.epoch,
        role=lease.role,
        job_name=lease.job_name,
        spec=lease.spec,
        params=lease.params,
        folder=lease.folder,
        storage_root=str(settings.storage_root),
        threads=threads,
        checkpoint_seconds=settings.worker.checkpoint_seconds,
        endpoint=settings.storage.endpoint,
        log_bytes=settings.log.job_bytes,
        trace_parent=lease.trace_parent and new_trace_parent(lease.trace_parent),
    )
    return dataclasses.replace(bare, **_inputs(session, lease, settings))


def corruption_behind(error: Exception, lease: Lease) -> CorruptRow | None:
    """What is wrong with the job's row, where that is what an error comes from; None for any other error.

    A stored spec is not read anew for each of many short tasks, only where it has led to an error that nobody expects.
    """
    if isinstance(error, CorruptRow):
        return error
    if isinstance(error, PixmillError):
        return None
    try:
        parse_spec(lease.spec)
    except SpecError as refused:
        return CorruptRow(f"the database holds a spec that this pixmill cannot read: {refused.message}")
    return None


def _inputs(session: Session, lease: Lease, settings: Settings) -> dict[str, Any]:
    match lease.role:
        case Role.TRAIN:
            stored = task_checkpoints(session, lease.task_id, CheckpointKind.LAST, above=lease.checkpoint_floor)
            return {"checkpoints": tuple(map(stored_file, stored)), **beginning_inputs(session, lease)}
        case Role.GENERATE:
            shards = job_shards(session, lease.job_id)
            published = [row.number for row in shards if row.task_id == lease.task_id]
            return {
                **making_inputs(session, lease.spec),
                "outputs": _outputs(shards, settings),
                "params": {**lease.params, "published_shards": published},
            }
        case Role.ASSEMBLE:
            return {
                "model": model_input(session, lease.spec["model"]),
                "further_models": _further_models(session, lease.spec),
                "shards": _shards(session, lease.job_id),
            }
        case Role.EVALUATE:
            output = get_job(session, lease.spec["output"])
            judge = lease.spec.get("judge")
            return {
                "model": model_input(session, output.spec["model"]),
                "judge": model_input(session, judge) if judge else None,
                "shards": _shards(session, output.id),
            }
        case Role.GATE:
            against = lease.spec["against"]
            return {
                "model": model_input(session, lease.spec["model"]),
                "further_models": (model_input(session, against),) if against else (),
            }
        case Role.COMPRESS:
            return {"model": model_input(session, lease.spec["model"])}
        case Role.DECOMPRESS:
            return _compressed(session, lease)
        case Role.REPORT:
            facts = run_facts(session, lease.spec["run"]).model_dump(mode="json")
            return {"params": {**lease.params, "facts": facts}}
        case Role.PING:
            return {}


def _outputs(shards: Sequence[Shard], settings: Settings) -> str | None:
    """Where the next shards of a job go: to those that are there, even if the settings have changed meanwhile."""
    if not shards:
        return settings.storage.outputs
    return outputs_url(shards[0].folder) if is_url(shards[0].folder) else None


def _compressed(session: Session, lease: Lease) -> dict[str, Any]:
    if lease.spec["output"] is None:
        return {"model": model_input(session, lease.spec["model"])}
    output = get_job(session, lease.spec["output"])
    (task,) = job_tasks(session, output.id)
    if task.result is None:
        raise Conflict(f"job {output.id} has not compressed its images")
    return {
        "model": model_input(session, output.spec["model"]),
        "params": {**lease.params, "manifest": task.result["manifest"]},
    }


def model_input(session: Session, reference: str) -> ModelInput:
    """The version that a spec names, as a device process needs it.  Raises NotFound or Conflict."""
    version = resolve_model(session, reference)
    if not isinstance(version, ModelVersion):
        raise Conflict(f"train job {version.id} has not published its model")
    return ModelInput(
        reference=version.reference,
        folder=version.folder,
        digest=version.digest,
        image_size=version.image_size,
        channels=version.channels,
        classes=tuple(version.classes),
        dataset=version.dataset.name,
        dataset_fingerprint=version.dataset.fingerprint,
    )


def making_inputs(session: Session, spec: Mapping[str, Any]) -> dict[str, Any]:
    """The models by which the images of a spec are made and chosen.  Raises NotFound or Conflict."""
    judge = spec.get("filter_model")
    return {
        "model": model_input(session, spec["model"]),
        "further_models": _further_models(session, spec),
        "judge": model_input(session, judge) if judge else None,
    }


def _further_models(session: Session, spec: Mapping[str, Any]) -> tuple[ModelInput, ...]:
    return tuple(model_input(session, reference) for reference in spec.get("further_models") or ())


def _shards(session: Session, job_id: int) -> tuple[ShardInput, ...]:
    return tuple(ShardInput(folder=row.folder, record=row.record) for row in job_shards(session, job_id))


def shard_row(lease: Lease, record: dict[str, Any], folder: str) -> Shard:
    """The manifest row of a shard that the device process has written, and where it lies."""
    return Shard(
        job_id=lease.job_id,
        task_id=lease.task_id,
        lease_epoch=lease.epoch,
        number=record["number"],
        folder=folder,
        record=record,
        image_count=record["count"],
        size_bytes=record["tar_bytes"] + record["parquet_bytes"],
    )
