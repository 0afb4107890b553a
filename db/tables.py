"""The tables. A job is what a person asked for; a task is the unit that runs on a device.

Every time is UTC from the database's clock. Paths are relative to the storage root.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    Boolean,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from db.types import UtcTime, enum_by_value, json_of, now
from pixmill.kinds import OnBadImage
from pixmill.notifications import NotificationState
from pixmill.schedules import Catchup, Overlap, RunOutcome
from pixmill.states import PipelineState, State, StepState

# SQLite numbers rows by itself only for INTEGER, never for BIGINT.
Id = BigInteger().with_variant(Integer(), "sqlite")


class Role(StrEnum):
    """What a task does for its job."""

    TRAIN = "train"
    GENERATE = "generate"  # a range of shards
    ASSEMBLE = "assemble"  # the finished shards become one data set
    EVALUATE = "evaluate"
    GATE = "gate"  # one model against another
    COMPRESS = "compress"  # images to files, and what is lost
    DECOMPRESS = "decompress"  # files to images
    REPORT = "report"  # the page of a pipeline run
    PING = "ping"  # nothing at all


class DeviceKind(StrEnum):
    """What a worker computes on."""

    CPU = "cpu"
    CUDA = "cuda"


class CheckpointKind(StrEnum):
    """Why a checkpoint is kept."""

    LAST = "last"  # to resume from
    BEST = "best"  # lowest metric so far


class Outcome(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PREEMPTED = "preempted"  # its worker was told to stop
    LOST = "lost"  # its worker went silent


class Table(DeclarativeBase):
    """Base of all tables; the convention names every constraint, so that migrations can refer to them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        int: BigInteger,
        datetime: UtcTime,
        dict[str, Any]: json_of(dict),
        list[Any]: json_of(list),
        State: enum_by_value(State),
        Role: enum_by_value(Role),
        DeviceKind: enum_by_value(DeviceKind),
        CheckpointKind: enum_by_value(CheckpointKind),
        Outcome: enum_by_value(Outcome),
        Overlap: enum_by_value(Overlap),
        Catchup: enum_by_value(Catchup),
        RunOutcome: enum_by_value(RunOutcome),
        NotificationState: enum_by_value(NotificationState),
        PipelineState: enum_by_value(PipelineState),
        StepState: enum_by_value(StepState),
    }


class Queue(Table):
    """A named queue that operators pause, resume and limit."""

    __tablename__ = "queues"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    paused: Mapped[bool] = mapped_column(Boolean, server_default=false())
    paused_reason: Mapped[str | None] = mapped_column(Text)
    weight: Mapped[float] = mapped_column(Float, server_default="1")  # its share of the devices beside other queues
    max_running: Mapped[int | None] = mapped_column(Integer)  # tasks at once; None: no limit
    max_running_per_user: Mapped[int | None] = mapped_column(Integer)


class Account(Table):
    """What one user has used of the devices through one queue."""

    __tablename__ = "accounts"

    queue: Mapped[str] = mapped_column(ForeignKey("queues.name"), primary_key=True)
    user_name: Mapped[str] = mapped_column(String(200), primary_key=True)
    device_seconds: Mapped[float] = mapped_column(Float, server_default="0")  # as it was at `charged_at`; it fades
    charged_at: Mapped[datetime] = mapped_column(default=now())


class Array(Table):
    """Jobs that were asked for at once, told apart by an index. Its id is that of the first; it is never removed."""

    __tablename__ = "arrays"
    __table_args__ = (UniqueConstraint("key"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(100))  # of its first job
    size: Mapped[int] = mapped_column(Integer)  # jobs
    max_running: Mapped[int | None] = mapped_column(Integer)  # jobs at once; None: no limit
    key: Mapped[str | None] = mapped_column(String(200))
    digest: Mapped[str] = mapped_column(String(64))  # of what was asked for: indices and specs
    user_name: Mapped[str] = mapped_column(String(200))
    submitted_at: Mapped[datetime] = mapped_column(default=now())


class Job(Table):
    """What a person asked for."""

    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("key"),
        Index("ix_jobs_state_id", "state", "id"),
        Index("ix_jobs_array_id_array_index", "array_id", "array_index", unique=True),
        # An id names folders and references: it is never given twice, even after a deletion.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    name: Mapped[str] = mapped_column(String(100))
    state: Mapped[State]
    queue: Mapped[str] = mapped_column(ForeignKey("queues.name"))
    priority: Mapped[int] = mapped_column(Integer)
    spec: Mapped[dict[str, Any]]
    spec_digest: Mapped[str] = mapped_column(String(64))
    options: Mapped[dict[str, Any]]  # as submitted, for `job show --spec`
    key: Mapped[str | None] = mapped_column(String(200))
    array_id: Mapped[int | None]  # no foreign key: a job is the first of its array, which has its id
    array_index: Mapped[int | None] = mapped_column(Integer)
    labels: Mapped[dict[str, Any]]
    user_name: Mapped[str] = mapped_column(String(200))
    begin_at: Mapped[datetime | None]
    cancel_requested: Mapped[bool] = mapped_column(Boolean, server_default=false())
    progress_total: Mapped[int]  # images; what is done stands in the tasks
    reason: Mapped[str | None] = mapped_column(String(64))  # FailureReason, once failed
    message: Mapped[str | None] = mapped_column(Text)
    trace_parent: Mapped[str | None] = mapped_column(String(55))  # W3C traceparent: the trace that it is part of
    submitted_at: Mapped[datetime] = mapped_column(default=now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    tasks: Mapped[list["Task"]] = relationship(back_populates="job", order_by="Task.number")

    @property
    def title(self) -> str:
        """Its name, with its index if it is one of an array."""
        return self.name if self.array_index is None else f"{self.name}[{self.array_index}]"


class JobDependency(Table):
    """A job that waits for another."""

    __tablename__ = "job_dependencies"
    __table_args__ = (Index("ix_job_dependencies_parent_id", "parent_id"),)

    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    parent_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    any_outcome: Mapped[bool] = mapped_column(Boolean)  # False: the parent must succeed


class Task(Table):
    """The unit that runs on a device.

    `lease_epoch` counts claims and `dispatch_seq` counts requeues; neither is ever reset, so a late message or a
    worker that comes back from the dead can always be told apart.
    """

    __tablename__ = "tasks"
    __table_args__ = (
        UniqueConstraint("job_id", "number"),
        # What the scheduler asks at every tick, in the order in which it dispatches.
        Index("ix_tasks_waiting", "state", "blocked", "queue", "user_name", "limited_by", "rank", "id"),
        Index(
            "ix_tasks_available_at",
            "available_at",
            sqlite_where=text("available_at IS NOT NULL"),
            postgresql_where=text("available_at IS NOT NULL"),
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    number: Mapped[int] = mapped_column(Integer)
    role: Mapped[Role]
    params: Mapped[dict[str, Any]]
    state: Mapped[State]
    queue: Mapped[str] = mapped_column(ForeignKey("queues.name"))
    user_name: Mapped[str] = mapped_column(String(200))
    priority: Mapped[int] = mapped_column(Integer)
    rank: Mapped[int]  # db.order: among the tasks of one queue and user, the smallest runs first
    device_kind: Mapped[DeviceKind | None]  # None: any
    devices: Mapped[int] = mapped_column(Integer, server_default="1")  # that work on it together, of one worker
    # Something that it waited for had not ended when that was last asked: a hint, see db.dependencies.
    blocked: Mapped[bool] = mapped_column(Boolean, server_default=false())
    limited_by: Mapped[int | None]  # the array of its job, while that has a limit: see db.lanes
    retries: Mapped[int] = mapped_column(Integer, server_default="0")  # failures that are tried again
    retry_seconds: Mapped[float] = mapped_column(Float, server_default="30")  # before the first retry; doubles
    time_limit_seconds: Mapped[float | None] = mapped_column(Float)  # of one attempt
    available_at: Mapped[datetime | None]  # not before (begin time, back-off)
    dispatch_seq: Mapped[int] = mapped_column(server_default="0")
    dispatched_at: Mapped[datetime | None]  # when the last wake-up is known to have left
    lease_epoch: Mapped[int] = mapped_column(server_default="0")
    heartbeat_count: Mapped[int] = mapped_column(server_default="0")
    worker_id: Mapped[int | None] = mapped_column(ForeignKey("workers.id"))
    # Where it goes when its worker has stopped it, as an operator asked; unchecked: `state` has that constraint's name.
    stop_to: Mapped[State | None] = mapped_column(enum_by_value(State, checked=False))
    failures: Mapped[int] = mapped_column(Integer, server_default="0")
    lost_leases: Mapped[int] = mapped_column(Integer, server_default="0")
    preemptions: Mapped[int] = mapped_column(Integer, server_default="0")
    # The counters tell the whole history; what an operator's retry forgave does not count against the limits.
    excused_failures: Mapped[int] = mapped_column(Integer, server_default="0")
    excused_lost_leases: Mapped[int] = mapped_column(Integer, server_default="0")
    checkpoint_floor: Mapped[int] = mapped_column(server_default="0")  # older checkpoints are not resumed from
    progress: Mapped[dict[str, Any]]
    progress_done: Mapped[int] = mapped_column(server_default="0")
    result: Mapped[dict[str, Any] | None]
    reason: Mapped[str | None] = mapped_column(String(64))
    message: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    job: Mapped[Job] = relationship(back_populates="tasks")


class TaskDependency(Table):
    """A task of a job that waits for another task of the same job to succeed."""

    __tablename__ = "task_dependencies"
    __table_args__ = (Index("ix_task_dependencies_parent_id", "parent_id"),)

    task_id: Mapped[int] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True)
    parent_id: Mapped[int] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True)


class Attempt(Table):
    """One lease of one task."""

    __tablename__ = "attempts"
    __table_args__ = (UniqueConstraint("task_id", "lease_epoch"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    lease_epoch: Mapped[int]
    worker_id: Mapped[int] = mapped_column(ForeignKey("workers.id"))
    folder: Mapped[str] = mapped_column(Text)
    outcome: Mapped[Outcome | None]
    reason: Mapped[str | None] = mapped_column(String(64))
    message: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(default=now())
    finished_at: Mapped[datetime | None]


class Event(Table):
    """Who did what to a job, when, and why. Rows are only ever added."""

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_job_id_id", "job_id", "id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now())
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    task_id: Mapped[int | None] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    actor: Mapped[str] = mapped_column(String(200))  # a user, "scheduler", or a worker's name
    action: Mapped[str] = mapped_column(String(64))
    from_state: Mapped[str | None] = mapped_column(String(32))
    to_state: Mapped[str | None] = mapped_column(String(32))
    detail: Mapped[str | None] = mapped_column(Text)


class Device(Table):
    """A CPU or GPU of some host, or several of a kind that one worker owns."""

    __tablename__ = "devices"
    __table_args__ = (UniqueConstraint("host", "name"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    name: Mapped[str] = mapped_column(String(32))  # "cpu", "cuda:0", "cuda:0-3"
    kind: Mapped[DeviceKind]
    model: Mapped[str] = mapped_column(String(255))  # such as "NVIDIA H200"
    memory_bytes: Mapped[int]  # of all together
    width: Mapped[int] = mapped_column(Integer, server_default="1")  # how many devices it is
    drained: Mapped[bool] = mapped_column(Boolean, server_default=false())  # an operator lets nothing start on it
    drain_reason: Mapped[str | None] = mapped_column(Text)


class Worker(Table):
    """One worker process, pinned to one device. A restart is another row."""

    __tablename__ = "workers"
    __table_args__ = (Index("ix_workers_stopped_at", "stopped_at"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(255))  # host:device
    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id"))
    pid: Mapped[int] = mapped_column(Integer)
    version: Mapped[str] = mapped_column(String(32))
    heartbeat_count: Mapped[int] = mapped_column(server_default="0")
    draining: Mapped[bool] = mapped_column(Boolean, server_default=false())  # it takes no more tasks
    drain_reason: Mapped[str | None] = mapped_column(Text)
    canary_sent: Mapped[int] = mapped_column(server_default="0")  # messages that showed whether it hears
    canary_sent_at: Mapped[datetime | None]
    canary_heard: Mapped[int] = mapped_column(server_default="0")  # the number of the last one it got
    utilisation: Mapped[float | None] = mapped_column(Float)  # 0 to 1, of its devices, when it last beat
    memory_used_bytes: Mapped[int | None]  # of its devices, by whoever it is
    started_at: Mapped[datetime] = mapped_column(default=now())
    seen_at: Mapped[datetime] = mapped_column(default=now())
    stopped_at: Mapped[datetime | None]

    device: Mapped[Device] = relationship()


class Scheduler(Table):
    """One scheduler process; any number may run."""

    __tablename__ = "schedulers"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    pid: Mapped[int] = mapped_column(Integer)
    version: Mapped[str] = mapped_column(String(32))
    broker_error: Mapped[str | None] = mapped_column(Text)  # why wake-ups cannot be sent at present
    started_at: Mapped[datetime] = mapped_column(default=now())
    seen_at: Mapped[datetime] = mapped_column(default=now())
    stopped_at: Mapped[datetime | None]


class Dataset(Table):
    """A data set as some job read it: name and fingerprint of the very bytes."""

    __tablename__ = "datasets"
    __table_args__ = (UniqueConstraint("fingerprint"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    fingerprint: Mapped[str] = mapped_column(String(64))
    description: Mapped[dict[str, Any]]  # sizes, class histogram, held-out split, files left out
    added_at: Mapped[datetime] = mapped_column(default=now())


class RegisteredDataset(Table):
    """A data set under a name that an operator gave it: how it is read, and what it was when it was read last."""

    __tablename__ = "registered_datasets"
    __table_args__ = (UniqueConstraint("name"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    source: Mapped[str] = mapped_column(Text)  # "folder:/data/galaxies"
    image_size: Mapped[int] = mapped_column(Integer)
    channels: Mapped[int] = mapped_column(Integer)
    on_bad_image: Mapped[OnBadImage] = mapped_column(String(32))
    image_count: Mapped[int]
    fingerprint: Mapped[str] = mapped_column(String(64))  # at this size and with these channels
    content_fingerprint: Mapped[str] = mapped_column(String(64))  # at any
    description: Mapped[dict[str, Any]]
    user_name: Mapped[str] = mapped_column(String(200))
    added_at: Mapped[datetime] = mapped_column(default=now())


class Model(Table):
    """A model line: versions of one model under one name."""

    __tablename__ = "models"
    __table_args__ = (UniqueConstraint("name"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    frozen: Mapped[bool] = mapped_column(Boolean, server_default=false())  # an operator lets nothing be promoted
    frozen_reason: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=now())


class ModelVersion(Table):
    """An immutable trained model. Its row outlives its files: a number is never given twice."""

    __tablename__ = "model_versions"
    __table_args__ = (UniqueConstraint("model_id", "version"), UniqueConstraint("job_id"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"))
    version: Mapped[int] = mapped_column(Integer)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"))
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id"))
    preset: Mapped[str] = mapped_column(String(64))
    folder: Mapped[str] = mapped_column(Text)  # holds weights.safetensors and model.json
    digest: Mapped[str] = mapped_column(String(64))  # of weights and architecture
    image_size: Mapped[int] = mapped_column(Integer)
    channels: Mapped[int] = mapped_column(Integer)
    classes: Mapped[list[Any]]  # class names; empty for a model without classes
    images_seen: Mapped[int]
    metric_name: Mapped[str | None] = mapped_column(String(100))
    metric_value: Mapped[float | None] = mapped_column(Float)
    lineage: Mapped[dict[str, Any]]  # spec digest, code versions, seed, device, precision, hash of the weights
    created_at: Mapped[datetime] = mapped_column(default=now())
    removed_at: Mapped[datetime | None]  # since when its files are no longer needed

    model: Mapped[Model] = relationship()
    dataset: Mapped[Dataset] = relationship()

    @property
    def reference(self) -> str:
        """`NAME@VERSION`."""
        return f"{self.model.name}@{self.version}"


class ModelAlias(Table):
    """A name that stands for one version of a model, and may come to stand for another."""

    __tablename__ = "model_aliases"
    __table_args__ = (
        ForeignKeyConstraint(["model_id", "version"], ["model_versions.model_id", "model_versions.version"]),
    )

    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[int] = mapped_column(Integer)


class ModelEvent(Table):
    """Who did what to the aliases and versions of a model, when, and why. Rows are only ever added."""

    __tablename__ = "model_events"
    __table_args__ = (
        ForeignKeyConstraint(["model_id", "from_version"], ["model_versions.model_id", "model_versions.version"]),
        ForeignKeyConstraint(["model_id", "to_version"], ["model_versions.model_id", "model_versions.version"]),
    )

    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)  # from 1 on, without a gap
    at: Mapped[datetime] = mapped_column(default=now())
    actor: Mapped[str] = mapped_column(String(200))
    action: Mapped[str] = mapped_column(String(32))
    alias: Mapped[str | None] = mapped_column(String(64))  # that was moved
    from_version: Mapped[int | None] = mapped_column(Integer)  # None: it stood for none
    to_version: Mapped[int | None] = mapped_column(Integer)  # None: it stands for none
    reason: Mapped[str | None] = mapped_column(Text)
    evidence: Mapped[dict[str, Any] | None]  # what a promotion rests on


class Checkpoint(Table):
    """A published training state."""

    __tablename__ = "checkpoints"
    __table_args__ = (Index("ix_checkpoints_task_id_id", "task_id", "id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    lease_epoch: Mapped[int]
    kind: Mapped[CheckpointKind]
    images_seen: Mapped[int]
    metric_value: Mapped[float | None] = mapped_column(Float)
    path: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(String(64))
    size_bytes: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(default=now())


class Shard(Table):
    """The output manifest: one row a shard; one row an image lives in the shard's Parquet file."""

    __tablename__ = "shards"
    __table_args__ = (UniqueConstraint("job_id", "number"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    task_id: Mapped[int] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    lease_epoch: Mapped[int]
    number: Mapped[int] = mapped_column(Integer)
    folder: Mapped[str] = mapped_column(Text)
    record: Mapped[dict[str, Any]]  # storage.shards.ShardRecord
    image_count: Mapped[int] = mapped_column(Integer)
    size_bytes: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(default=now())


class Evaluation(Table):
    """What was measured of a model: of the images that it generated, or by the job that trained or used it."""

    __tablename__ = "evaluations"
    # A gate job measures two models.
    __table_args__ = (
        UniqueConstraint("job_id", "model_version_id"),
        Index("ix_evaluations_output_job_id", "output_job_id"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    output_job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"))  # made what was measured; may be the same job
    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"))
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id"))
    image_count: Mapped[int] = mapped_column(Integer)  # or sequences
    metrics: Mapped[list[Any]]  # imagemodels.evaluation.report.Metric, as JSON
    created_at: Mapped[datetime] = mapped_column(default=now())

    dataset: Mapped[Dataset] = relationship()


class Schedule(Table):
    """What is submitted again and again, and when."""

    __tablename__ = "schedules"
    # What every scheduler asks at each tick.
    __table_args__ = (UniqueConstraint("name"), Index("ix_schedules_next_run_at", "next_run_at"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    cron: Mapped[str] = mapped_column(String(200))
    zone: Mapped[str] = mapped_column(String(100))  # IANA
    document: Mapped[dict[str, Any]]  # what is submitted, as a file of `submit -f` has it; its "kind" says what it is
    overlap: Mapped[Overlap]
    catchup: Mapped[Catchup]
    deadline_seconds: Mapped[float] = mapped_column(Float)  # how late a run may begin
    jitter_seconds: Mapped[float] = mapped_column(Float)
    blackouts: Mapped[list[Any]]  # texts that scheduler.blackouts reads
    user_name: Mapped[str] = mapped_column(String(200))  # whose jobs they are
    paused: Mapped[bool] = mapped_column(Boolean, server_default=false())
    paused_reason: Mapped[str | None] = mapped_column(Text)
    next_for: Mapped[datetime | None]  # the next time by the expression …
    next_run_at: Mapped[datetime | None]  # … and with its jitter; None: there is none in the next decades
    last_run_id: Mapped[int | None]  # of schedule_runs; no foreign key, which would go in a ring
    added_at: Mapped[datetime] = mapped_column(default=now())


class ScheduleRun(Table):
    """What became of one time of a schedule. That there is one row for each lets any number of schedulers run."""

    __tablename__ = "schedule_runs"
    __table_args__ = (
        UniqueConstraint("schedule_id", "scheduled_for"),
        Index("ix_schedule_runs_schedule_id_job_id", "schedule_id", "job_id"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    schedule_id: Mapped[int] = mapped_column(ForeignKey("schedules.id", ondelete="CASCADE"))
    scheduled_for: Mapped[datetime]  # the logical time, without jitter
    by_hand: Mapped[str | None] = mapped_column(String(200))  # who asked for it outside of the plan
    outcome: Mapped[RunOutcome]
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"))
    reason: Mapped[str | None] = mapped_column(String(64))  # SkipReason, or the sort of error
    message: Mapped[str | None] = mapped_column(Text)
    decided_at: Mapped[datetime]


class Notification(Table):
    """What operators are to be told by webhook: added in the transaction of what it tells of, sent by a scheduler."""

    __tablename__ = "notifications"
    # What every scheduler asks, again and again.
    __table_args__ = (
        UniqueConstraint("token"),
        Index("ix_notifications_state_next_try_at", "state", "next_try_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    token: Mapped[str] = mapped_column(String(32))  # the same at each try, so that a receiver knows what it has got
    kind: Mapped[str] = mapped_column(String(64))  # of pixmill.notifications.KINDS, or a newer pixmill's
    subject: Mapped[str] = mapped_column(String(200))  # "job 7"
    facts: Mapped[dict[str, Any]]
    count: Mapped[int] = mapped_column(Integer, server_default="1")  # how many it stands for; `facts` are the last's
    state: Mapped[NotificationState]
    tries: Mapped[int] = mapped_column(Integer, server_default="0")  # counts claims, and is never reset
    excused_tries: Mapped[int] = mapped_column(Integer, server_default="0")  # those before an operator's retry
    next_try_at: Mapped[datetime] = mapped_column(default=now())  # while it is tried: when that try counts as lost
    status: Mapped[int | None] = mapped_column(Integer)  # of the last answer, by HTTP
    error: Mapped[str | None] = mapped_column(Text)  # why the last try did not count
    added_at: Mapped[datetime] = mapped_column(default=now())
    wanted_at: Mapped[datetime] = mapped_column(
        default=now()
    )  # added, or retried by an operator: a day counts from here
    ended_at: Mapped[datetime | None]  # sent, given up or skipped


class PipelineRun(Table):
    """One run of a pipeline. That a time of a schedule has no more than one lets any number of schedulers run."""

    __tablename__ = "pipeline_runs"
    __table_args__ = (
        UniqueConstraint("schedule_id", "scheduled_for"),
        Index("ix_pipeline_runs_state", "state"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(100))  # of the pipeline
    document: Mapped[dict[str, Any]]  # as pixmill.pipelines stores it
    params: Mapped[dict[str, Any]]
    facts: Mapped[dict[str, Any]]  # scheduled_for and date by the schedule's clocks; champions when it began
    state: Mapped[PipelineState]
    reason: Mapped[str | None] = mapped_column(String(64))
    message: Mapped[str | None] = mapped_column(Text)
    schedule_id: Mapped[int | None] = mapped_column(ForeignKey("schedules.id", ondelete="SET NULL"))
    scheduled_for: Mapped[datetime]
    in_turn: Mapped[bool] = mapped_column(Boolean, server_default=false())  # after all earlier runs of its schedule
    cancel_requested: Mapped[bool] = mapped_column(Boolean, server_default=false())
    user_name: Mapped[str] = mapped_column(String(200))  # whose jobs they are
    begun_at: Mapped[datetime] = mapped_column(default=now())
    finished_at: Mapped[datetime | None]


class PipelineStep(Table):
    """One step of a run, and what it leaves to those after it."""

    __tablename__ = "pipeline_steps"
    __table_args__ = (UniqueConstraint("run_id", "name"), Index("ix_pipeline_steps_job_id", "job_id"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("pipeline_runs.id", ondelete="CASCADE"))
    number: Mapped[int] = mapped_column(Integer)  # its place in the file
    name: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(32))
    after: Mapped[list[Any]]  # names of steps that must be over
    any_outcome: Mapped[bool] = mapped_column(Boolean)  # False: they must have succeeded
    state: Mapped[StepState]
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"))
    values: Mapped[dict[str, Any]]  # field → value
    reason: Mapped[str | None] = mapped_column(String(64))  # SkipCause, FailureReason, the sort of error …
    message: Mapped[str | None] = mapped_column(Text)
    finished_at: Mapped[datetime | None]


class Total(Table):
    """A count that only ever grows, whatever becomes of the rows that were counted; or how far these are counted."""

    __tablename__ = "totals"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    labels: Mapped[str] = mapped_column(String(400), primary_key=True)  # a JSON object, its keys in order
    value: Mapped[int]


class LogPiece(Table):
    """A part of the log of an attempt, for those who do not see its file."""

    __tablename__ = "log_pieces"
    __table_args__ = (Index("ix_log_pieces_written_at", "written_at"),)

    task_id: Mapped[int] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True)
    lease_epoch: Mapped[int] = mapped_column(primary_key=True)
    start: Mapped[int] = mapped_column(primary_key=True)  # its first byte's place in all that was written
    text: Mapped[str] = mapped_column(Text)
    written_at: Mapped[datetime] = mapped_column(default=now())
