"""Acting on jobs from Python."""

import pytest
from sqlalchemy import select

from client import Client
from db.tables.jobs import Event
from pixmill.errors import Conflict, SpecError, UserError
from pixmill.specs import PingSpec
from pixmill.states import FailureReason, State
from tests.cli.world import World


def deeds(world: World, job_id: int) -> list[tuple[str, str, str | None]]:
    """Who did what, and why, but for the submit and what workers do."""
    with world.database.read() as session:
        events = session.scalars(select(Event).where(Event.job_id == job_id, Event.actor == "olga").order_by(Event.id))
        return [(event.actor, event.action, event.detail) for event in events if event.action != "submit"]


def test_each_act_is_an_event_with_who_and_why(pixmill: Client, world: World) -> None:
    job = pixmill.submit(PingSpec())
    assert pixmill.hold(job, reason="data are mended").state is State.HELD
    assert pixmill.release(job, reason="mended").state is State.PENDING
    changed = pixmill.set(job, priority=5, queue="bulk", reason="in a hurry")
    assert (changed.priority, changed.queue) == (5, "bulk")
    pixmill.top(job)
    assert pixmill.cancel(job, reason="not wanted").state is State.CANCELLED
    assert pixmill.retry(job, reason="wanted after all").state is State.PENDING
    told = deeds(world, job.id)
    for deed in (("hold", "data are mended"), ("release", "mended"), ("cancel", "not wanted"), ("top", None)):
        assert ("olga", *deed) in told
    assert ("olga", "set", "priority 5, queue bulk: in a hurry") in told
    assert ("olga", "retry --from last", "wanted after all") in told


def test_what_runs_is_requeued_or_cancelled_by_force(pixmill: Client, world: World) -> None:
    job_id = world.train()
    world.claim(world.worker())
    assert pixmill.requeue(job_id, hold=True).reason == "Holding"
    assert pixmill.cancel(job_id, force=True).state is State.CANCELLED


def test_what_the_state_forbids_is_a_conflict_and_changes_nothing(pixmill: Client, world: World) -> None:
    job_id = world.submit(PingSpec())
    world.fail(world.claim(world.worker()), FailureReason.USER_ERROR, "no")
    before = deeds(world, job_id)
    for act in (pixmill.cancel, pixmill.hold, pixmill.release, pixmill.requeue, pixmill.top):
        with pytest.raises(Conflict) as found:
            act(job_id)
        assert found.value.hint is not None
    with pytest.raises(Conflict, match="no checkpoints to choose from"):
        pixmill.retry(job_id, start="best")
    assert deeds(world, job_id) == before
    assert pixmill.job(job_id).state is State.FAILED


def test_a_change_that_is_none_is_refused(pixmill: Client, world: World) -> None:
    job_id = world.submit(PingSpec())
    with pytest.raises(UserError, match="nothing is to be changed"):
        pixmill.set(job_id)
    for bad in ({"priority": 9999}, {"queue": "no queue"}, {"time_limit_seconds": -1.0}):
        with pytest.raises(SpecError):
            pixmill.set(job_id, **bad)
    assert deeds(world, job_id) == []
