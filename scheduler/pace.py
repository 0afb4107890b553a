"""How quickly the tasks of a job will go: known from jobs like it, for its plan to be right on every device."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from db.experience import job_names, rates_by_device, recent_jobs
from db.tables.fleet import DeviceKind
from db.workers import present_workers
from pixmill.specs import Spec

ALIKE_JOBS = 5  # the newest ones, by which is judged
USUAL_DEVICES = 4  # where none is there yet

# What has no influence on the seconds that an image takes; of `model` the line counts, not the version.
_INDIFFERENT = frozenset(
    {"version", "kind", "seed", "model", "n", "shard_size", "labels_in_tar"}
    | {"classes", "class_counts", "class_weights", "indices", "part"}
)
_JOB = "job:"


@dataclass(frozen=True)
class Pace:
    """The devices that may share a job, and what the slowest and the fastest reach; None: nobody knows."""

    devices: int
    slowest: float | None = None  # images a second
    fastest: float | None = None


def pace_of(session: Session, spec: Spec, kind: DeviceKind | None) -> Pace:
    """The pace of a pinned spec on devices of this kind, None: of any."""
    devices = sum(not one.draining and kind in (None, one.device.kind) for one in present_workers(session))
    rates = rates_by_device(session, _alike(session, spec), kind).values()
    return Pace(devices or USUAL_DEVICES, min(rates, default=None), max(rates, default=None))


def _alike(session: Session, spec: Spec) -> list[int]:
    """Jobs that made such images with a model of the same line, the newest ones."""
    wanted = spec.model_dump(mode="json")
    alike = [pair for pair in recent_jobs(session, spec.kind) if _essence(pair[1]) == _essence(wanted)]
    models = [wanted["model"], *(given["model"] for _job_id, given in alike)]
    names = job_names(session, {int(model.removeprefix(_JOB)) for model in models if model.startswith(_JOB)})
    line = _line(wanted["model"], names)
    return [job_id for job_id, given in alike if _line(given["model"], names) == line][:ALIKE_JOBS]


def _essence(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in spec.items() if key not in _INDIFFERENT and value is not None}


def _line(model: str, names: Mapping[int, str]) -> str | None:
    """The model line that a pinned reference belongs to: a train job gives its model its own name."""
    return names.get(int(model.removeprefix(_JOB))) if model.startswith(_JOB) else model.partition("@")[0]
