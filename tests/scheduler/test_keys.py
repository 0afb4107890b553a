"""Jobs that are asked for twice under one key."""

import re
from pathlib import Path

import pytest
from sqlalchemy import func, select

from db.aliases import set_alias
from db.control import cancel_job
from db.leases import finish
from db.tables.jobs import Event, Outcome
from db.versions import forget_version
from pixmill.errors import (
    KeyConflict,
    NotFound,
)
from pixmill.specs import (
    AnimateSpec,
    GenerateSpec,
)
from scheduler.submit import Submitted
from tests import rows
from tests.conftest import Broker
from tests.errands import run_in_processes, submit_once
from tests.rows import act
from tests.scheduler.desk import DEED, TRAIN, Desk


def test_the_same_key_and_spec_is_the_same_job(desk: Desk) -> None:
    first = desk.submit(key="nightly")
    again = desk.submit(key="nightly", priority=9)
    assert (again.job_id, again.is_new) == (first.job_id, False)
    assert desk.count() == 1


def test_the_same_key_with_another_spec_is_refused_with_the_differences(desk: Desk) -> None:
    job_id = desk.submit(key="nightly").job_id
    message = f"key 'nightly' belongs to job {job_id}, which asks for something else: images 200000 → 5; seed 0 → 1"
    with pytest.raises(KeyConflict, match=re.escape(message)) as caught:
        desk.submit(TRAIN.model_copy(update={"seed": 1, "images": 5}), key="nightly")
    assert caught.value.hint is not None
    assert f"pixmill job show {job_id}" in caught.value.hint
    assert desk.count() == 1


def test_a_key_finds_its_job_though_a_newer_model_is_there_by_now(desk: Desk) -> None:
    train = desk.trained()
    for model in ("digits", "digits@1", f"job:{train}"):
        spec = GenerateSpec(model=model, n=10)
        first = desk.submit(spec, key=model)
        desk.trained()
        assert desk.submit(spec, key=model) == Submitted(job_id=first.job_id, is_new=False, broker_error=None)
    with pytest.raises(KeyConflict, match="model 'digits@1' → 'digits@2'"):
        desk.submit(GenerateSpec(model="digits@2", n=10), key="digits")


def test_a_key_finds_its_job_though_its_model_was_trained_meanwhile(desk: Desk) -> None:
    train = rows.add(desk.database)
    spec = GenerateSpec(model=f"job:{train}", n=10)
    first = desk.submit(spec, key="k")
    desk.trained(job_id=train)
    assert desk.submit(spec, key="k").job_id == first.job_id


def test_a_key_finds_its_job_though_its_parent_failed_meanwhile(desk: Desk) -> None:
    lease = rows.running(desk.database)
    first = desk.submit(key="k", after=[lease.job_id])
    act(desk.database, finish, lease, Outcome.FAILED)
    assert desk.submit(key="k", after=[lease.job_id]).job_id == first.job_id


def test_fifty_processes_with_one_key_add_one_job(
    desk: Desk, database_url: str, tmp_path: Path, valkey: Broker
) -> None:
    flags = {"home": str(tmp_path), "database.url": database_url, "broker.url": valkey.url}
    found = run_in_processes(submit_once, flags, count=50)
    assert len({done.job_id for done in found}) == 1
    assert [done.is_new for done in found].count(True) == 1
    assert desk.count() == 1
    with desk.database.read() as session:
        assert session.scalar(select(func.count()).select_from(Event).where(Event.action == "submit")) == 1


def test_a_key_finds_its_job_though_the_alias_has_moved_and_its_model_was_removed(desk: Desk) -> None:
    desk.trained()
    desk.trained()
    act(desk.database, set_alias, "digits@1", "beta", DEED)
    spec = GenerateSpec(model="digits@beta", n=10)
    first = desk.submit(spec, key="k")
    act(desk.database, set_alias, "digits@2", "beta", DEED)
    assert desk.submit(spec, key="k").job_id == first.job_id
    with pytest.raises(KeyConflict, match="model 'digits@1' → 'digits@gamma'"):
        desk.submit(GenerateSpec(model="digits@gamma", n=10), key="k")
    act(desk.database, cancel_job, first.job_id, actor="ann")
    act(desk.database, forget_version, "digits@1", DEED)
    assert desk.submit(spec, key="k").job_id == first.job_id
    with pytest.raises(NotFound, match="digits@1 was removed"):
        desk.submit(GenerateSpec(model="digits@1", n=10))


def test_the_same_key_is_the_same_animation_though_the_model_has_filled_it_in(desk: Desk) -> None:
    desk.trained(job_id=desk.submit(TRAIN, name="digits").job_id)
    spec = AnimateSpec(model="digits", n=5)
    first = desk.submit(spec, key="once")
    desk.trained(job_id=desk.submit(TRAIN, name="digits").job_id)
    again = desk.submit(spec, key="once")
    assert (again.job_id, again.is_new) == (first.job_id, False)
    with pytest.raises(KeyConflict, match="stops 4 → 5"):
        desk.submit(spec.model_copy(update={"stops": 5}), key="once")
