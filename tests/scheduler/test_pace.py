"""What is known of the pace of a job before it runs."""

from typing import Any

import pytest

from db.engine import Database
from db.jobs import NewTask
from db.leases import finish
from db.tables.fleet import DeviceKind
from db.tables.jobs import Outcome, Role
from pixmill.specs import GenerateSpec
from scheduler.pace import USUAL_DEVICES, Pace, pace_of
from tests import rows
from tests.rows import act

SPEC = GenerateSpec(model="digits@3", n=1_000_000, precision="bf16")


def pace(database: Database, kind: DeviceKind | None = None, **changes: Any) -> Pace:
    spec = SPEC.model_copy(update=changes)
    with database.read() as session:
        return pace_of(session, spec, kind)


def made(
    database: Database, count: int, seconds: float, *, kind: DeviceKind = DeviceKind.CPU, name: str = "j", **spec: Any
) -> None:
    """A job of one task that has made so many images in so many seconds on a device of this kind."""
    stored = SPEC.model_copy(update=spec).model_dump(mode="json")
    task = NewTask(role=Role.GENERATE, params={})
    job = rows.add(database, kind="generate", name=name, spec=stored, tasks=(task,), device_kind=kind, priority=1000)
    rows.queue(database, kind=kind)
    lease = rows.claimed(database, rows.add_worker(database, kind))
    assert lease.job_id == job
    act(database, finish, lease, Outcome.SUCCEEDED, result={"images": count, "made": count, "making_seconds": seconds})


def test_without_experience_only_devices_are_known(database: Database) -> None:
    assert pace(database) == Pace(USUAL_DEVICES)
    rows.add_worker(database)
    rows.add_worker(database, DeviceKind.CUDA)
    assert pace(database) == Pace(2)
    assert pace(database, DeviceKind.CUDA) == Pace(1)


def test_each_device_is_as_quick_as_all_its_tasks_together(database: Database) -> None:
    made(database, 100, 1.0)
    made(database, 900, 4.0, model="digits@2", seed=7, n=9, classes=["3"], shard_size=5)  # alike
    made(database, 50_000, 1.0, kind=DeviceKind.CUDA)
    known = pace(database)
    assert (known.slowest, known.fastest) == (200.0, 50_000.0)
    assert pace(database, DeviceKind.CPU).fastest == 200.0


@pytest.mark.parametrize(
    "other", [{"model": "cats@3"}, {"precision": "fp32"}, {"encoder": "webp"}, {"filter_model": "judge@1"}]
)
def test_jobs_that_take_another_time_are_no_experience(database: Database, other: dict[str, Any]) -> None:
    made(database, 100, 1.0, **other)
    assert pace(database).slowest is None


def test_a_model_that_is_still_trained_is_as_quick_as_its_forerunner(database: Database) -> None:
    train = rows.add(database, name="digits", hold=True)
    made(database, 100, 1.0)
    assert pace(database, model=f"job:{train}").slowest == 100.0
    made(database, 800, 2.0, model=f"job:{train}")
    assert pace(database, model="digits@4").slowest == 300.0
