"""Jobs, the tasks that they consist of, and what became of these.

A job is what a person asked for; a task is the unit that runs on a device.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Boolean, Float, ForeignKey, Index, Integer, String, Text, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.tables.base import Id, Table
from db.tables.fleet import DeviceKind, Worker
from db.types import enum_by_value, now
from pixmill.states import State


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


class Outcome(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PREEMPTED = "preempted"  # its worker was told to stop
    LOST = "lost"  # its worker went silent


Table.registry.update_type_annotation_map(
    {State: enum_by_value(State), Role: enum_by_value(Role), Outcome: enum_by_value(Outcome)}
)


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
        Index("ix_tasks_available_at", "available_at"),  # of rows that have one
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
    worker_id: Mapped[int | None] = mapped_column(ForeignKey(Worker.id))
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
    worker_id: Mapped[int] = mapped_column(ForeignKey(Worker.id))
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
