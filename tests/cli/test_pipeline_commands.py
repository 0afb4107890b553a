"""`pixmill pipeline`, and what `ps`, `job show` and `schedule` tell of runs."""

import re
from pathlib import Path

import pytest
from sqlalchemy import func, select

from db.schedules import get_schedule
from db.tables.fleet import Worker
from db.tables.jobs import Job
from db.tables.pipelines import PipelineRun
from db.tables.schedules import Schedule
from pixmill.specs import PingSpec
from pixmill.states import FailureReason
from scheduler.pipelines import Conductor
from scheduler.schedules import Planner
from tests.cli.running import Runner
from tests.cli.world import World
from tests.reports.pages import Page

NIGHT = """
kind: pipeline
name: night
params: {retries: 1, say: good}
steps:
  one: {kind: ping, name: "${params.say}-night", retries: "${params.retries}"}
  gate: {kind: ping, after: [one], time_limit_seconds: 2h}
  two: {kind: ping, when: "${gate.state} == succeeded"}
  three: {kind: ping, after: [two]}
"""


@pytest.fixture
def night(tmp_path: Path) -> Path:
    file = tmp_path / "night.yaml"
    file.write_text(NIGHT)
    return file


@pytest.fixture
def worker(world: World) -> Worker:
    return world.worker()


def advance(world: World) -> None:
    """A scheduler looks at the runs."""
    Conductor(world.database, outputs=None).advance()


def succeed(world: World, worker: Worker, **result: object) -> None:
    world.succeed(world.claim(worker), dict(result))
    advance(world)


def count(world: World, table: type[Job | PipelineRun | Schedule]) -> int:
    with world.database.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_from_check_to_the_end(run: Runner, world: World, worker: Worker, night: Path) -> None:
    checked = run("pipeline", "check", "-f", night)
    assert (checked.code, count(world, PipelineRun)) == (0, 0)
    assert [line.split() for line in checked.lines[1:3]] == [["one", "ping", "–", "–"], ["gate", "ping", "one", "–"]]
    assert run("pipeline", "run", "-f", night, "--set", "retries=7", "-q").out == "1\n"
    alone = world.submit(PingSpec(), name="alone")
    advance(world)
    succeed(world, worker)
    assert run("pipeline", "wait", "1", "--timeout", "0").code == 101
    succeed(world, worker)
    shown = run("pipeline", "show", "1")
    assert shown.code == 0
    assert [line.split()[:4] for line in shown.lines[-4:]] == [
        ["one", "ping", "succeeded", "2"],
        ["└─", "gate", "ping", "submitted"],
        ["└─", "two", "ping", "waiting"],
        ["└─", "three", "ping", "waiting"],
    ]
    assert "└─ two" in shown.out
    assert alone == 1
    listed = run("ps")
    assert [line.split()[:3] for line in listed.lines[1:]] == [
        ["1", "alone", "ping"],
        ["run", "1", "night"],
        ["2", "├─", "one:"],
        ["3", "└─", "gate:"],
    ]
    (job,) = [each for each in run("ps", "-o", "json").json["items"] if each["id"] == 2]
    assert (job["pipeline"], job["name"]) == ({"run": 1, "name": "night", "step": "one"}, "good-night")
    assert job["options"]["retries"] == 7
    assert "step gate of run 1 (night)" in run("job", "show", "3").out
    succeed(world, worker)
    succeed(world, worker)
    succeed(world, worker)
    ended = run("pipeline", "wait", "1")
    assert (ended.code, ended.err.splitlines()[-1]) == (0, "pipeline run 1 succeeded")
    (item,) = run("pipeline", "ls", "-o", "json").json["items"]
    assert [step["state"] for step in item["steps"]] == ["succeeded"] * 4
    assert item["steps"][1]["values"] == {"job": 3}
    assert run("pipeline", "ls", "-o", "ids").out == "1\n"
    assert "night" in run("pipeline", "ls").lines[1]


def test_the_page_of_a_run_in_any_state(run: Runner, world: World, worker: Worker, tmp_path: Path) -> None:
    file = tmp_path / "night.yaml"
    file.write_text("{kind: pipeline, name: night, steps: {one: {kind: ping}, page: {kind: report}}}")
    run("pipeline", "run", "-f", file)

    def page() -> str:
        written = run("pipeline", "report", "1")
        assert (written.code, written.out) == (0, "pixmill-run-1.html\n"), written.err
        return Page(Path("pixmill-run-1.html").read_text(encoding="utf-8")).text

    assert "It has begun, and no step of it runs yet." in page()
    advance(world)
    assert "It still runs: step one (job 1)" in page()
    world.fail(world.claim(worker), FailureReason.USER_ERROR, "<b>it</b> went wrong")
    advance(world)
    assert "It failed at step one: UserError: <b>it</b> went wrong." in page()
    assert "page report" not in run("pipeline", "show", "1").out
    assert run("job", "show", "2", "-o", "json").json["item"]["spec"]["run"] == 1
    place = "reports/pipelines/night/run-1.html"
    succeed(world, worker, page=place)
    assert f"page           {place}" in run("pipeline", "show", "1").out
    assert run("pipeline", "show", "1", "-o", "json").json["item"]["page"] == place
    told = run("notify", "ls").out
    assert f"pipeline night: run 1 failed: step one: UserError: <b>it</b> went wrong: {place}" in told
    assert "pipeline night: run 1 failed" in page()
    assert run("pipeline", "report", "1", "--out", tmp_path / "none" / "page.html").code != 0
    assert run("pipeline", "report", "7").code == 3
    assert run("submit", "-f", "-", stdin="{kind: report, run: 7}").code == 3
    assert "page of pipeline run 1" in run("submit", "-f", "-", stdin="{kind: report, run: 1}").err


def test_a_run_begins_again_by_name_and_as_a_file(run: Runner, world: World, night: Path, tmp_path: Path) -> None:
    run("pipeline", "run", "-f", night)
    assert "began run 2" in run("pipeline", "run", "night").err
    spec = tmp_path / "spec.yaml"
    spec.write_text(run("pipeline", "show", "2", "--spec").out)
    assert (
        run("pipeline", "check", "-f", spec, "-o", "json").json
        == run("pipeline", "check", "-f", night, "-o", "json").json
    )
    assert run("pipeline", "run", "nigth").err.splitlines() == [
        "error: no pipeline 'nigth' has run or is scheduled",
        "hint:  did you mean 'night'?",
    ]
    assert run("pipeline", "run").code == 2


def test_what_failed_is_tried_again_and_what_is_not_wanted_cancelled(
    run: Runner, world: World, worker: Worker, night: Path
) -> None:
    run("pipeline", "run", "-f", night)
    advance(world)
    world.fail(world.claim(worker), FailureReason.USER_ERROR, "it went wrong")
    advance(world)
    ended = run("pipeline", "wait", "1")
    assert (ended.code, ended.err.splitlines()[-2]) == (
        100,
        "error: pipeline run 1 failed: step one: UserError: it went wrong",
    )
    assert run("pipeline", "cancel", "1").code == 4
    retried = run("pipeline", "retry", "1", "--reason", "mended")
    assert (retried.code, "goes on with one" in retried.err) == (0, True)
    assert run("pipeline", "retry", "1").code == 4
    succeed(world, worker)
    assert "is cancelled" in run("pipeline", "cancel", "1", "--reason", "enough").err
    assert run("pipeline", "wait", "1").code == 103
    assert count(world, Job) == 2
    assert run("pipeline", "show", "7").code == 3


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("kind: ping", 2, "FILE: it is of kind ping, not a pipeline"),
        ("{kind: pipeline, name: x, steps: {a: {kind: pong}}}", 2, "FILE: step a: unknown kind 'pong'"),
        ("{kind: pipeline, name: x, steps: {a: {kind: ping, after: [b]}}}", 2, "FILE: step a: there is no step 'b'"),
        (
            "{kind: pipeline, name: x, steps: {a: {kind: generate, model: nix, n: 5k}}}",
            3,
            "FILE: step a: there is no model",
        ),
        (
            "{kind: pipeline, name: x, params: {n: 3}, steps: {a: {kind: ping}}}",
            2,
            "FILE: parameter 'n': 'many' is not",
        ),
        ("{kind: pipeline, name: x, stesp: {a: {kind: ping}}}", 2, "FILE: pipeline: unknown key 'stesp'"),
        ("kind: pipeline\n---\nkind: ping", 2, "FILE: it holds 2 documents"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line_that_names_the_file(
    run: Runner, world: World, tmp_path: Path, text: str, code: int, message: str
) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    given = ("--set", "n=many") if "params" in text else ()
    for verb in ("check", "run"):
        found = run("pipeline", verb, "-f", file, *given)
        assert (found.code, len(found.err.splitlines())) == (code, 2), found.err
        assert found.err.startswith(f"error: {message.replace('FILE', str(file))}")
    assert (count(world, PipelineRun), count(world, Job)) == (0, 0)


def test_a_schedule_runs_a_pipeline(run: Runner, world: World, worker: Worker, night: Path) -> None:
    add = ("schedule", "add", "nightly", "--cron", "30 2 * * *", "-f", night)
    assert run(*add, "--queue", "bulk").err.startswith(f"error: {night}: --queue is for a job, and night is a pipeline")
    assert run(*add, "--set", "say=sweet").code == 0
    shown = run("schedule", "show", "nightly").out
    assert "retries=1, say=sweet" in shown
    assert "ping, after one" in shown
    assert run("pipeline", "check", "-f", "-", stdin=run("schedule", "show", "nightly", "--spec").out).code == 0

    def when(_session: object) -> object:
        with world.database.read() as session:
            return get_schedule(session, "nightly").next_run_at

    assert Planner(world.database, when, outputs=None).start_due() == 1  # type: ignore[arg-type]
    advance(world)
    assert "pipeline run 1 of an earlier run has not ended" in run("schedule", "run", "nightly").err
    world.fail(world.claim(worker), FailureReason.USER_ERROR, "it went wrong")
    advance(world)
    (last,) = run("schedule", "history", "nightly", "-o", "json").json["items"]
    assert (last["outcome"], last["pipeline_run_id"], last["pipeline_state"]) == ("submitted", 1, "failed")
    told = run("schedule", "ls")
    assert "run 1" in told.out
    assert "step one: UserError: it went wrong" in told.out
    checks = {check["part"]: check for check in run("status", "-o", "json").json["item"]["checks"]}
    assert "pipeline run 1: step one: UserError" in checks["schedules"]["detail"]
    assert run("schedule", "run", "nightly", "-q").out == "2\n"
    (first, _second) = run("pipeline", "ls", "-o", "json").json["items"]
    assert (first["schedule"], first["params"]) == ("nightly", {"retries": 1, "say": "sweet"})


def test_the_examples_of_the_documents_can_be_run(run: Runner, world: World) -> None:
    page = (Path(__file__).parents[2] / "docs" / "pipelines.md").read_text(encoding="utf-8")
    (night,) = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    checked = run("pipeline", "check", "-f", "-", stdin=night)
    assert checked.code == 0, checked.err
    assert checked.lines[-2].split() == ["bulk", "generate", "promote", "${promote.promoted}"]
    assert checked.lines[-1].split() == ["report", "report", "train,", "gate,", "promote,", "bulk", "–"]
