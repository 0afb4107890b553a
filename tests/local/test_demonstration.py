from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.context import Workspace
from cli.local.demonstration import FULL, QUICK, Demonstration, Line
from cli.local.findings import Judgement, read_findings
from cli.local.following import follow
from cli.local.results import print_results
from db.listing import JobFilter, list_jobs
from pixmill.errors import JobFailed
from pixmill.states import FailureReason
from tests.cli.world import World

METRICS = [
    {"name": "usefulness@cnn", "value": 0.91, "controls": [{"name": "real_training", "value": 0.98, "n": 9}]},
    {"name": "usefulness@forest", "value": 0.87, "controls": [{"name": "real_training", "value": 0.96, "n": 9}]},
    {"name": "kid@cnn-1a2b3c4d", "value": 0.05, "controls": []},
]


@pytest.fixture
def workspace(home: Path) -> Iterator[Workspace]:
    workspace = Workspace()
    workspace.home = home
    assert workspace.database.is_sqlite  # made now
    yield workspace
    workspace.close()


@pytest.fixture
def world(workspace: Workspace) -> Iterator[World]:
    """The same home, moved along as workers do."""
    world = World(home=workspace.settings.home)
    yield world
    world.database.dispose()


def _demonstration(workspace: Workspace, stamp: str) -> Demonstration:
    told: list[str] = []
    demo = Demonstration(workspace.database, workspace.settings, FULL, stamp=stamp, user="olga", tell=told.append)
    demo.submit()
    assert [line.partition(":")[0] for line in told] == [f"job {job_id}" for job_id in demo.job_ids]
    return demo


def test_every_model_is_trained_then_used_then_judged(workspace: Workspace) -> None:
    demo = _demonstration(workspace, "first")
    with workspace.database.read() as session:
        lines = {line.job.id: line for line in list_jobs(session, JobFilter(), limit=None)}
    assert sorted(demo.job_ids) == sorted(lines)
    assert [line.preset for line in demo.lines] == ["vae", "sngan"]
    for line in demo.lines:
        assert [lines[job_id].job.kind for job_id in line.jobs] == ["train", "generate", "evaluate"]
        assert lines[line.train].waits_for == ()
        assert lines[line.generate].waits_for == (line.train,)
        assert lines[line.evaluate].waits_for == (line.generate,)
        assert lines[line.train].job.spec["conditional"] is True


def test_a_demo_that_submits_again_finds_its_jobs_and_another_demo_makes_new_ones(workspace: Workspace) -> None:
    first = _demonstration(workspace, "first")
    assert _demonstration(workspace, "first").job_ids == first.job_ids
    assert set(_demonstration(workspace, "second").job_ids).isdisjoint(first.job_ids)


def test_the_quick_demo_is_a_small_part_of_the_full_one() -> None:
    assert sum(QUICK.budgets.values()) * 5 <= sum(FULL.budgets.values())
    assert QUICK.images * 5 <= FULL.images
    assert all(scale.images % scale.shard_size == 0 and scale.judged <= scale.images for scale in (QUICK, FULL))


def test_a_metric_is_found_with_or_without_what_it_was_measured_with() -> None:
    assert Judgement.find(METRICS, "usefulness@forest", "real_training") == Judgement(value=0.87, real=0.96)
    assert Judgement.find(METRICS, "kid", "held_out_real") == Judgement(value=0.05, real=None)
    assert Judgement.find(METRICS, "fd", "held_out_real") is None


def test_the_last_screen_tells_where_everything_lies(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    worker = world.worker()
    train = world.trained(worker)
    generate = world.generated(worker)
    line = Line(preset="vae", train=train, generate=generate, evaluate=world.evaluate(generate))
    findings = read_findings(world.database, world.settings, line)
    print_results([findings])
    shown = capsys.readouterr().out
    assert findings.contact_sheet.is_file()
    assert findings.images_per_second == 20.0
    assert all(path.is_file() and str(path) in shown for path in findings.reports)
    assert str(findings.output) in shown
    assert "random forest as judge" in shown


def test_the_job_that_failed_is_shown_with_the_end_of_its_log(
    workspace: Workspace, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    failing = world.train(name="unlucky")
    lease = world.claim(world.worker())
    world.log(lease, "2026-11-21T02:00:00.123Z ERROR the loss is not finite")
    world.fail(lease, FailureReason.NON_FINITE_LOSS, "the loss is NaN")
    with pytest.raises(JobFailed) as caught:
        follow(workspace, [failing])
    assert caught.value.exit_code == 100
    said = capsys.readouterr().err
    assert f"job {failing} (unlucky) failed" in said
    assert "NaNLoss: the loss is NaN" in said
    assert "  2026-11-21T02:00:00.123Z ERROR the loss is not finite" in said
