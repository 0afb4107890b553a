"""Data sets, and the models that were trained and measured on them."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.tables.base import Id, Table
from db.tables.jobs import Job
from db.types import now
from pixmill.kinds import OnBadImage


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
    job_id: Mapped[int] = mapped_column(ForeignKey(Job.id))
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


class Evaluation(Table):
    """What was measured of a model: of the images that it generated, or by the job that trained or used it."""

    __tablename__ = "evaluations"
    # A gate job measures two models.
    __table_args__ = (
        UniqueConstraint("job_id", "model_version_id"),
        Index("ix_evaluations_output_job_id", "output_job_id"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey(Job.id, ondelete="CASCADE"))
    output_job_id: Mapped[int] = mapped_column(ForeignKey(Job.id))  # made what was measured; may be the same job
    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"))
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id"))
    image_count: Mapped[int] = mapped_column(Integer)  # or sequences
    metrics: Mapped[list[Any]]  # imagemodels.evaluation.report.Metric, as JSON
    created_at: Mapped[datetime] = mapped_column(default=now())

    dataset: Mapped[Dataset] = relationship()
