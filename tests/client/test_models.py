"""Models, pipelines and schedules from Python."""

from pathlib import Path

import pytest

from client import Client
from pixmill.errors import Conflict, JobCancelled, JobNotFinished, NotFound, SpecError
from pixmill.states import PipelineState, StepState
from scheduler.pipelines import Conductor
from tests.cli.running import Run
from tests.cli.world import World

NIGHT = """
kind: pipeline
name: night
params: {retries: 1}
steps:
  one: {kind: ping, retries: "${params.retries}"}
  two: {kind: ping, after: [one]}
"""


def advance(world: World) -> None:
    """A scheduler looks at the runs."""
    Conductor(world.database, outputs=None).advance()


def test_a_model_by_its_version_alias_and_job(pixmill: Client, world: World) -> None:
    with pytest.raises(NotFound):
        pixmill.model("digits")
    job_id = world.trained(world.worker(), name="digits-vae")
    assert pixmill.promote("digits-vae@1", reason="the first") != []
    names = ("digits-vae", "digits-vae@1", "digits-vae@champion", f"job:{job_id}")
    models = [pixmill.model(name) for name in names]
    assert {model.model for model in models} == {"digits-vae@1"}
    assert models[0].aliases == ("champion",)
    assert models[0].classes == ("zero", "one")
    assert models[0].dataset.fingerprint == "f" * 64
    assert pixmill.models() == pixmill.models("digits-vae") == models[:1]
    (printed,) = Run().invoke("model", "versions", "digits-vae", "-o", "json").json["items"]
    assert set(printed) == set(models[0].to_json())


def test_promotion_and_rollback(pixmill: Client, world: World) -> None:
    worker = world.worker()
    for _ in range(2):
        world.succeed_training(world.claim_by(worker, world.train(name="digits-vae")))
    assert pixmill.promote("digits-vae@1", reason="first", expect=0)[0].after == 1
    assert pixmill.promote("digits-vae@1", reason="again") == []
    with pytest.raises(Conflict):
        pixmill.promote("digits-vae@2", reason="late", expect=0)
    pixmill.promote("digits-vae@2", reason="better", evidence={"kid": 0.5})
    assert pixmill.model("digits-vae@previous").version == 1
    pixmill.rollback("digits-vae", reason="dark")
    assert pixmill.model("digits-vae@champion").version == 1
    events = Run().invoke("model", "history", "digits-vae", "-o", "json").json["items"]
    assert {event["actor"] for event in events if event["action"] in ("promote", "rollback")} == {"olga"}


def test_measurements_and_comparison(pixmill: Client, world: World) -> None:
    worker = world.worker()
    world.trained(worker, name="digits-vae")
    assert pixmill.measurements("digits-vae") == []
    metric = {"name": "kid", "value": 0.5, "n": 40, "better": "lower", "controls": []}
    judged = world.judged(worker, world.generated(worker, model="digits-vae@1"), [metric])
    (found,) = pixmill.measurements("digits-vae@1")
    assert (found.job_id, found.count, found.metrics) == (judged, 40, [metric])
    world.succeed_training(world.claim_by(worker, world.train(name="digits-vae")))
    with pytest.raises(NotFound, match="digits-vae@2 was never measured"):
        pixmill.compare("digits-vae@1", "digits-vae@2")


def test_a_pipeline_runs_and_is_waited_for(pixmill: Client, world: World, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="of kind ping, not a pipeline"):
        pixmill.run_pipeline({"kind": "ping"})
    with pytest.raises(NotFound):
        pixmill.run_pipeline("night")
    run = pixmill.run_pipeline(NIGHT, {"retries": 3})
    assert (run.state, run.user, run.params) == (PipelineState.RUNNING, "olga", {"retries": 3})
    with pytest.raises(JobNotFinished):
        pixmill.wait_pipeline(run.id, timeout=0.01, check=True)
    worker = world.worker()
    for _ in range(2):
        advance(world)
        world.succeed(world.claim(worker), {})
    advance(world)
    ended = pixmill.wait_pipeline(run.id, check=True)
    assert ended.is_over
    assert [(step.name, step.state) for step in ended.steps] == [
        ("one", StepState.SUCCEEDED),
        ("two", StepState.SUCCEEDED),
    ]
    first = ended.steps[0].job_id
    assert first is not None
    place = pixmill.job(first).pipeline
    assert place is not None
    assert (place.run, place.name, place.step) == (run.id, "night", "one")

    file = tmp_path / "night.yaml"
    file.write_text(NIGHT)
    again = [pixmill.run_pipeline("night"), pixmill.run_pipeline(file)]
    assert [found.id for found in pixmill.pipeline_runs("night")] == [again[1].id, again[0].id, run.id]
    advance(world)
    pixmill.cancel(pixmill.pipeline_run(again[0].id).steps[0].job_id or 0)
    advance(world)
    assert pixmill.wait_pipeline(again[0].id).state is PipelineState.CANCELLED
    with pytest.raises(JobCancelled, match=f"pipeline run {again[0].id} was cancelled"):
        pixmill.wait_pipeline(again[0].id, check=True)


def test_schedules_are_listed(pixmill: Client, world: World, tmp_path: Path) -> None:
    file = tmp_path / "ping.yaml"
    file.write_text("kind: ping\n")
    added = Run().invoke("schedule", "add", "nightly", "--cron", "30 2 * * *", "-f", str(file), "--zone", "UTC")
    assert added.code == 0, added.err
    (schedule,) = pixmill.schedules()
    assert (schedule.name, schedule.cron, schedule.last_run) == ("nightly", "30 2 * * *", None)
    assert schedule.document["kind"] == "ping"
