"""What is submitted again and again."""

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Float, ForeignKey, Index, String, Text, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Id, Table
from db.tables.jobs import Job
from db.types import enum_by_value, now
from pixmill.schedules import Catchup, Overlap, RunOutcome

Table.registry.update_type_annotation_map(
    {Overlap: enum_by_value(Overlap), Catchup: enum_by_value(Catchup), RunOutcome: enum_by_value(RunOutcome)}
)


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
    job_id: Mapped[int | None] = mapped_column(ForeignKey(Job.id, ondelete="SET NULL"))
    reason: Mapped[str | None] = mapped_column(String(64))  # SkipReason, or the sort of error
    message: Mapped[str | None] = mapped_column(Text)
    decided_at: Mapped[datetime]
