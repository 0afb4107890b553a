"""What the parent hands to the device process: everything that a task needs, so that it never asks the database."""

from dataclasses import asdict, dataclass, field
from typing import Any, Self

from pixmill.kinds import devices_of
from pixmill.traces import trace_id

# Bump when a field changes its meaning: a device process refuses an assignment of another version.
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A file that the database vouches for."""

    path: str  # relative to the storage root
    sha256: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class ModelInput:
    """The model version that makes, or made, the images."""

    reference: str  # "digits@3"
    folder: str
    digest: str
    image_size: int
    channels: int
    classes: tuple[str, ...]
    dataset: str  # name of what it was trained on
    dataset_fingerprint: str


@dataclass(frozen=True, kw_only=True)
class StartInput:
    """The model version that training begins with."""

    reference: str
    folder: str
    digest: str
    image_size: int
    channels: int
    classes: tuple[str, ...]
    images: int  # that its weights have learnt from, those of the versions before it included
    state: StoredFile  # of its training


@dataclass(frozen=True, kw_only=True)
class DataInput:
    """The data of an earlier version, with which those of a train task are compared."""

    reference: str  # of the version
    name: str
    fingerprint: str
    description: dict[str, Any]
    summary: dict[str, Any] | None = None  # what its lineage tells of them
    traces: StoredFile | None = None  # what its training has kept of them


@dataclass(frozen=True, kw_only=True)
class ShardInput:
    """A published shard and where it lies."""

    folder: str  # relative, or a URL
    record: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """One attempt at one task."""

    job_id: int
    task_id: int
    epoch: int
    role: str
    job_name: str
    spec: dict[str, Any]
    params: dict[str, Any]
    folder: str  # relative; the only place where this attempt may write, but for outputs/ of an assemble task
    storage_root: str
    threads: int
    checkpoint_seconds: float
    outputs: str | None = None  # s3://… where finished shards go; None: they stay in the folder
    endpoint: str | None = None  # of the S3 server
    checkpoints: tuple[StoredFile, ...] = ()  # newest first
    model: ModelInput | None = None
    further_models: tuple[ModelInput, ...] = ()  # that make images of the same job, or that a gate is held against
    judge: ModelInput | None = None  # the classifier by which an evaluation measures, or a generate job chooses
    shards: tuple[ShardInput, ...] = ()
    start: StartInput | None = None
    before: DataInput | None = None
    log_bytes: int = 64_000_000  # that its log may have
    trace_parent: str | None = None  # of its attempt, as W3C traceparent
    version: int = field(default=VERSION)

    @property
    def devices(self) -> int:
        """How many devices work on it together."""
        return devices_of(self.spec)

    def log_facts(self) -> dict[str, Any]:
        """What every line that is logged meanwhile tells of it."""
        trace = trace_id(self.trace_parent)
        return {"job": self.job_id, "task": self.task_id, "epoch": self.epoch, "trace": trace}

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Inverse of `to_json`.  Raises ValueError for another version."""
        if values.get("version") != VERSION:
            raise ValueError(f"assignment of version {values.get('version')!r}; this process reads {VERSION}")
        parts = {
            "checkpoints": tuple(StoredFile(**entry) for entry in values["checkpoints"]),
            "model": _model(values["model"]),
            "further_models": tuple(_known_model(entry) for entry in values["further_models"]),
            "judge": _model(values["judge"]),
            "shards": tuple(ShardInput(**entry) for entry in values["shards"]),
            "start": _start(values["start"]),
            "before": _data(values["before"]),
        }
        return cls(**{**values, **parts})


def _start(values: dict[str, Any] | None) -> StartInput | None:
    if values is None:
        return None
    return StartInput(**{**values, "classes": tuple(values["classes"]), "state": StoredFile(**values["state"])})


def _data(values: dict[str, Any] | None) -> DataInput | None:
    if values is None:
        return None
    return DataInput(**{**values, "traces": StoredFile(**values["traces"]) if values["traces"] else None})


def _model(values: dict[str, Any] | None) -> ModelInput | None:
    return _known_model(values) if values else None


def _known_model(values: dict[str, Any]) -> ModelInput:
    return ModelInput(**{**values, "classes": tuple(values["classes"])})
