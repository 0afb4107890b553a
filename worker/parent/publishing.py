"""What becomes visible in the very transaction that ends a task."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy.orm import Session

from db.finding import get_job
from db.leases import Lease
from db.registry import add_version, ensure_dataset, resolve_model
from db.tables.fleet import Worker
from db.tables.jobs import Role
from db.tables.models import Dataset, Evaluation, ModelVersion
from pixmill.errors import Conflict
from worker.parent.beginning import begun_and_kept, tell_of_data, tell_parent, tell_skipped

Publish = Callable[[Session, Lease, Mapping[str, Any]], dict[str, Any]]


def publisher(role: Role) -> Publish | None:
    """What adds the rows that a succeeded task brings, and gives the result to store with it; None: only that."""
    return {
        Role.TRAIN: _publish_model,
        Role.EVALUATE: _publish_evaluation,
        Role.GATE: _publish_gate,
        Role.COMPRESS: _publish_compression,
    }.get(role)


def _publish_model(session: Session, lease: Lease, result: Mapping[str, Any]) -> dict[str, Any]:
    if "drift_told" in result:
        tell_of_data(session, lease, result["drift_told"])
    if "skipped" in result:
        tell_skipped(session, lease, result["skipped"])
        return {key: result[key] for key in ("skipped", "drift")}
    dataset = _dataset(session, result)
    metric = result["metric"] or {}
    version = add_version(
        session,
        lease.job_name,
        ModelVersion(
            job_id=lease.job_id,
            dataset_id=dataset.id,
            preset=result["preset"],
            folder=result["folder"],
            digest=result["digest"],
            image_size=result["image_size"],
            channels=result["channels"],
            classes=result["classes"],
            images_seen=result["best_images_seen"] or result["images_seen"],
            metric_name=metric.get("name"),
            metric_value=metric.get("value"),
            lineage={
                **result["lineage"],
                "spec_digest": lease.spec_digest,
                "worker": lease.worker_name,
                "device_model": session.get_one(Worker, lease.worker_id).device.model,
            },
        ),
    )
    tell_parent(session, lease, version)
    measured = result.get("measured")  # by the train job itself, of a model that makes no images
    if measured:
        _add_evaluation(session, lease, lease.job_id, version, dataset, measured)
    return {
        "model": version.reference,
        "model_version_id": version.id,
        "images_seen": result["images_seen"],
        "best_images_seen": result["best_images_seen"],
        "metric": result["metric"],
        "dataset": dataset.fingerprint,
        **{name: result[name] for name in ("held_out", "sequences", "restoration", "drift") if name in result},
        **begun_and_kept(version),
        **_used(result),
    }


def _publish_evaluation(session: Session, lease: Lease, result: Mapping[str, Any]) -> dict[str, Any]:
    _add_measured(session, lease, result["output"], result)
    return {"report": result["report"], "neighbours": result["neighbours"], "images": result["images"], **_used(result)}


def _publish_compression(session: Session, lease: Lease, result: Mapping[str, Any]) -> dict[str, Any]:
    _add_measured(session, lease, lease.job_id, result)
    return {**{key: value for key, value in result.items() if key != "metrics"}, "dataset": result["dataset"]["name"]}


def _publish_gate(session: Session, lease: Lease, result: Mapping[str, Any]) -> dict[str, Any]:
    dataset = _dataset(session, result)
    for side in result["measured"]:
        _add_evaluation(session, lease, lease.job_id, _version(session, side["model"]), dataset, side)
    return {**{key: value for key, value in result.items() if key != "measured"}, "dataset": dataset.name}


def _add_measured(session: Session, lease: Lease, output: int, result: Mapping[str, Any]) -> None:
    """Add what was measured of the output of a job, which names its model."""
    version = _version(session, get_job(session, output).spec["model"])
    _add_evaluation(session, lease, output, version, _dataset(session, result), result)


def _version(session: Session, reference: str) -> ModelVersion:
    version = resolve_model(session, reference)
    if not isinstance(version, ModelVersion):
        raise Conflict(f"model {reference} is not there")
    return version


def _add_evaluation(
    session: Session, lease: Lease, output: int, version: ModelVersion, dataset: Dataset, measured: Mapping[str, Any]
) -> None:
    session.add(
        Evaluation(
            job_id=lease.job_id,
            output_job_id=output,
            model_version_id=version.id,
            dataset_id=dataset.id,
            image_count=measured["images"],
            metrics=measured["metrics"],
        )
    )


def _dataset(session: Session, result: Mapping[str, Any]) -> Dataset:
    name, description = result["dataset"]["name"], result["dataset"]["description"]
    return ensure_dataset(session, name, description["fingerprint"], description)


def _used(result: Mapping[str, Any]) -> dict[str, Any]:
    """What the device's memory and the mathematics let the attempt use."""
    names = ("batch_size", "micro_batch", "nan_rollbacks", "collapse_rollbacks")
    return {name: result[name] for name in names if name in result}
