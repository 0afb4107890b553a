"""Looking at jobs from Python, and waiting for them."""

import json
import threading
from collections.abc import Callable

import pytest

from client import Client, Job
from pixmill.errors import (
    JobCancelled,
    JobFailed,
    JobNotFinished,
    NotFound,
    UserError,
)
from pixmill.specs import PingSpec
from pixmill.states import FailureReason, State
from tests.cli.running import Run
from tests.cli.world import World


def test_jobs_are_chosen_by_what_they_are(pixmill: Client, world: World) -> None:
    first = world.train(labels={"a": "b"}, queue="bulk")
    second = world.train(hold=True)
    third = world.submit(PingSpec(), user="ann")

    def ids(**filters: object) -> list[int]:
        return [job.id for job in pixmill.jobs(**filters)]  # type: ignore[arg-type]

    assert ids() == [first, second, third]
    assert ids(states=["held"]) == ids(states=[State.HELD]) == [second]
    assert ids(kinds=["train"]) == [first, second]
    assert ids(labels={"a": "b"}) == ids(queues=["bulk"]) == [first]
    assert ids(users=["ann"]) == [third]
    assert ids(limit=2) == [second, third]
    assert ids(limit=2, before=second) == [first]
    with pytest.raises(UserError, match="there is no state 'hold'"):
        pixmill.jobs(states=["hold"])


def test_a_job_is_what_the_command_line_prints(pixmill: Client, world: World) -> None:
    job_id = world.train(labels={"a": "b"}, key="k")
    lease = world.claim_by(world.worker(), job_id)
    world.progress(lease, 2_500)
    printed = Run().invoke("ps", "-o", "json").json["items"][0]
    job = pixmill.job(job_id)
    assert (job.done, job.total, job.state, job.rate) == (2_500, 10_000, State.RUNNING, 812.5)
    told = json.loads(json.dumps(job.to_json(), default=str))
    moving = ("run_seconds", "submitted_at", "started_at", "begin_at", "finished_at")
    assert {key: value for key, value in told.items() if key not in moving} == {
        key: value for key, value in printed.items() if key not in moving
    }
    assert set(told) == set(printed)


@pytest.mark.parametrize("job_id", [99, 2**70])
def test_a_job_that_there_is_not(pixmill: Client, job_id: int) -> None:
    calls: list[Callable[[int], object]] = [pixmill.job, pixmill.why, pixmill.wait, pixmill.results, pixmill.metrics]
    calls += [pixmill.cancel, pixmill.output, lambda job_id: list(pixmill.logs(job_id))]
    calls += [lambda job_id: list(pixmill.progress(job_id))]
    for call in calls:
        with pytest.raises(NotFound):
            call(job_id)


def test_why_tells_reasons_and_remedies(pixmill: Client, world: World) -> None:
    parent = world.train(hold=True)
    child = world.submit(PingSpec(), after=[parent])
    why = pixmill.why(child)
    assert (why.id, why.state) == (child, State.PENDING)
    assert why.reasons[0].code == f"Dependency({parent})"
    assert f"pixmill job why {parent}" in why.remedies


def test_wait_ends_with_any_end(pixmill: Client, world: World) -> None:
    worker = world.worker()
    good, bad, gone, going = (world.submit(PingSpec(), priority=-rank) for rank in range(4))
    world.succeed(world.claim_by(worker, good))
    world.fail(world.claim_by(worker, bad), FailureReason.USER_ERROR, "no such thing")
    pixmill.cancel(gone)
    jobs = pixmill.wait([gone, good, bad])
    assert [(job.id, job.state) for job in jobs] == [
        (gone, State.CANCELLED),
        (good, State.SUCCEEDED),
        (bad, State.FAILED),
    ]
    assert (jobs[2].reason, jobs[2].message) == ("UserError", "no such thing")
    assert pixmill.wait(good, check=True)[0].is_over
    with pytest.raises(JobFailed, match=f"1 of 3 jobs failed: {bad}"):
        pixmill.wait(jobs, check=True)
    with pytest.raises(JobCancelled):
        pixmill.wait([good, gone], check=True)
    assert not pixmill.wait(going, timeout=0.02)[0].is_over
    with pytest.raises(JobNotFinished):
        pixmill.wait([going, good], timeout=0.02, check=True)
    assert pixmill.wait([]) == []


def test_wait_sees_the_end_when_it_comes(pixmill: Client, world: World) -> None:
    job_id = world.submit(PingSpec())
    lease = world.claim(world.worker())
    found: list[list[Job]] = []
    waiting = threading.Thread(target=lambda: found.append(pixmill.wait(job_id)))
    waiting.start()
    world.succeed(lease)
    waiting.join(30)
    assert [job.state for (job,) in found] == [State.SUCCEEDED]


def test_progress_comes_with_every_change_until_the_end(pixmill: Client, world: World) -> None:
    job_id = world.train()
    progress = pixmill.progress(job_id)
    waits = next(progress)
    assert (waits.state, waits.reason, waits.share) == (State.PENDING, "NoWorker", 0.0)
    lease = world.claim(world.worker())
    began = next(progress)
    assert (began.state, began.reason) == (State.RUNNING, None)
    world.progress(lease, 2_500, losses={"loss": 0.5})
    half = next(progress)
    assert (half.done, half.total, half.share, half.phase) == (2_500, 10_000, 0.25, "training")
    assert (half.rate, half.losses) == (812.5, {"loss": 0.5})
    assert half.eta_seconds == pytest.approx(7_500 / 812.5, abs=0.1)
    world.succeed_training(lease)
    (last,) = progress
    assert (last.state, last.share) == (State.SUCCEEDED, 1.0)


def test_logs_are_read_and_followed(pixmill: Client, world: World) -> None:
    job_id = world.train()
    assert list(pixmill.logs(job_id)) == []
    lease = world.claim(world.worker())
    world.log(lease, "one", "two")
    assert list(pixmill.logs(job_id)) == ["one", "two"]
    lines = pixmill.logs(job_id, follow=True)
    assert [next(lines), next(lines)] == ["one", "two"]
    world.log(lease, "three")
    assert next(lines) == "three"
    world.log(lease, "four")
    world.succeed_training(lease)
    assert list(lines) == ["four"]
    with pytest.raises(NotFound, match="no attempt 2"):
        list(pixmill.logs(job_id, attempt=2))


def test_results_and_metrics(pixmill: Client, world: World) -> None:
    worker = world.worker()
    trained = world.trained(worker, name="digits-vae")
    output = world.generated(worker, model="digits-vae@1")
    metric = {"name": "kid", "value": 0.5, "n": 40, "better": "lower", "controls": []}
    judged = world.judged(worker, output, [metric])
    assert pixmill.results(trained)["model"] == "digits-vae@1"
    assert pixmill.metrics(trained) == []
    assert pixmill.metrics(judged) == [metric]
