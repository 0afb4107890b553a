"""Runs of pipelines, and their steps."""

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, ForeignKey, Index, Integer, String, Text, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Id, Table
from db.tables.jobs import Job
from db.tables.schedules import Schedule
from db.types import enum_by_value, now
from pixmill.states import PipelineState, StepState

Table.registry.update_type_annotation_map(
    {PipelineState: enum_by_value(PipelineState), StepState: enum_by_value(StepState)}
)


class PipelineRun(Table):
    """One run of a pipeline. That a time of a schedule has no more than one lets any number of schedulers run."""

    __tablename__ = "pipeline_runs"
    __table_args__ = (
        UniqueConstraint("schedule_id", "scheduled_for"),
        Index("ix_pipeline_runs_state", "state"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(100))  # of the pipeline
    document: Mapped[dict[str, Any]]  # as pixmill.pipelines stores it
    params: Mapped[dict[str, Any]]
    facts: Mapped[dict[str, Any]]  # scheduled_for and date by the schedule's clocks; champions when it began
    state: Mapped[PipelineState]
    reason: Mapped[str | None] = mapped_column(String(64))
    message: Mapped[str | None] = mapped_column(Text)
    schedule_id: Mapped[int | None] = mapped_column(ForeignKey(Schedule.id, ondelete="SET NULL"))
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
    job_id: Mapped[int | None] = mapped_column(ForeignKey(Job.id, ondelete="SET NULL"))
    values: Mapped[dict[str, Any]]  # field → value
    reason: Mapped[str | None] = mapped_column(String(64))  # SkipCause, FailureReason, the sort of error …
    message: Mapped[str | None] = mapped_column(Text)
    finished_at: Mapped[datetime | None]
