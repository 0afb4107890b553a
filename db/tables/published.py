"""What tasks have published: training states, and shards of images."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Float, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Id, Table
from db.tables.jobs import Job, Task
from db.types import enum_by_value, now


class CheckpointKind(StrEnum):
    """Why a checkpoint is kept."""

    LAST = "last"  # to resume from
    BEST = "best"  # lowest metric so far


Table.registry.update_type_annotation_map({CheckpointKind: enum_by_value(CheckpointKind)})


class Checkpoint(Table):
    """A published training state."""

    __tablename__ = "checkpoints"
    __table_args__ = (Index("ix_checkpoints_task_id_id", "task_id", "id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey(Task.id, ondelete="CASCADE"))
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
    job_id: Mapped[int] = mapped_column(ForeignKey(Job.id, ondelete="CASCADE"))
    task_id: Mapped[int] = mapped_column(ForeignKey(Task.id, ondelete="CASCADE"))
    lease_epoch: Mapped[int]
    number: Mapped[int] = mapped_column(Integer)
    folder: Mapped[str] = mapped_column(Text)
    record: Mapped[dict[str, Any]]  # storage.shards.ShardRecord
    image_count: Mapped[int] = mapped_column(Integer)
    size_bytes: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(default=now())
