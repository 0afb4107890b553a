"""Who works: devices, the workers on them, schedulers."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Boolean, Float, ForeignKey, Index, Integer, String, Text, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.tables.base import Id, Table
from db.types import enum_by_value, now


class DeviceKind(StrEnum):
    """What a worker computes on."""

    CPU = "cpu"
    CUDA = "cuda"


Table.registry.update_type_annotation_map({DeviceKind: enum_by_value(DeviceKind)})


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
