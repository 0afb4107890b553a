from typing import get_args

import pytest
from click.testing import CliRunner

from db.tables.published import Checkpoint, CheckpointKind
from db.views import job_tasks
from pixmill.states import FailureReason, State
from tests.cli.running import Runner, Terminal
from tests.cli.tree import COMMANDS
from tests.cli.world import World

ACTS = ("cancel", "hold", "release", "requeue", "retry", "top")


def states(run: Runner) -> dict[int, str]:
    return {item["id"]: item["state"] for item in run("ps", "--all", "-o", "json").json["items"]}


def order(world: World, *job_ids: int) -> list[int]:
    """The jobs by the rank of their task."""
    with world.database.read() as session:
        ranks = {job_id: job_tasks(session, job_id)[0].rank for job_id in job_ids}
    return sorted(ranks, key=lambda job_id: ranks[job_id])


@pytest.mark.parametrize("verb", ACTS)
def test_an_act_on_no_jobs_is_an_error_that_names_the_selectors(verb: str, run: Runner) -> None:
    found = run("job", verb)
    assert (found.code, found.out) == (2, "")
    assert "--state, --kind, -l, --queue, --user, --array, --since, --until or --ended-since" in found.err


def test_ids_and_a_filter_at_once_are_an_error(run: Runner, world: World) -> None:
    job_id = world.train(user="ann")
    found = run("job", "cancel", job_id, "--user", "ann", "-y")
    assert found.code == 2
    assert "not both at once" in found.err
    assert states(run) == {job_id: "pending"}


def test_one_named_job_is_acted_on_without_a_question(run: Runner, world: World) -> None:
    job_id = world.train()
    found = run("job", "hold", job_id, "--reason", "mended first")
    assert (found.code, found.out) == (0, "")
    assert f"job {job_id} is held" in found.err
    assert states(run) == {job_id: "held"}
    (event,) = [
        event for event in run("job", "show", 1, "-o", "json").json["item"]["events"] if event["action"] == "hold"
    ]
    assert event["detail"] == "mended first"
    assert event["actor"]


def test_a_filter_asks_even_for_one_job_and_names_the_flag_where_nobody_can_answer(run: Runner, world: World) -> None:
    world.train(user="ann")
    found = run("job", "hold", "--user", "ann")
    assert found.code == 2
    assert "hold 1 job (1 pending): nobody can be asked" in found.err
    assert "hint:  add -y" in found.err
    assert states(run) == {1: "pending"}


def test_several_jobs_need_a_yes_and_no_is_the_default(world: World, run: Runner) -> None:
    for _ in range(3):
        world.train(queue="bulk")
    terminal = Terminal("job", "hold", "--queue", "bulk")
    terminal.read_until("hold 3 jobs (3 pending)? [y/N]")
    terminal.type("\n")
    assert terminal.finish().code == 1
    assert set(states(run).values()) == {"pending"}
    terminal = Terminal("job", "hold", "--queue", "bulk")
    terminal.read_until("[y/N]")
    terminal.type("y\n")
    assert terminal.finish().code == 0
    assert set(states(run).values()) == {"held"}


def test_filters_choose_by_queue_user_kind_label_and_state(run: Runner, world: World) -> None:
    world.train(queue="bulk", user="ann", labels={"a": "b"})
    world.train(queue="bulk", user="bob")
    world.train(user="ann", hold=True)
    assert run("job", "hold", "--queue", "bulk", "--user", "ann", "--kind", "train", "-l", "a=b", "-y").code == 0
    assert states(run) == {1: "held", 2: "pending", 3: "held"}
    assert run("job", "release", "--state", "held", "-y").code == 0
    assert set(states(run).values()) == {"pending"}


def test_a_filter_without_states_means_those_that_the_act_is_for(run: Runner, world: World) -> None:
    worker = world.worker()
    done = world.trained(worker, user="ann")
    running, waiting = world.train(user="ann"), world.train(user="ann")
    world.claim(worker)
    assert run("job", "cancel", "--user", "ann", "-y").code == 0
    assert states(run) == {done: "succeeded", running: "running", waiting: "cancelled"}
    found = run("job", "cancel", "--user", "ann", "--state", "succeeded", "-y")
    assert found.code == 4
    assert "has already succeeded" in found.err


def test_a_filter_that_matches_nothing_is_no_error(run: Runner, world: World) -> None:
    world.train()
    found = run("job", "cancel", "--user", "nobody")
    assert (found.code, found.out) == (0, "")
    assert "no job matches" in found.err


def test_jobs_for_which_it_is_impossible_are_named_and_the_others_done(run: Runner, world: World) -> None:
    held, free = world.train(hold=True), world.train()
    found = run("job", "release", held, free, 99, "-y")
    assert found.code == 1
    assert f"job {held} is released" in found.err
    assert f"error: job {free} is pending, not held" in found.err
    assert "error: there is no job 99" in found.err
    assert "1 of 3 jobs done, 2 not" in found.err
    assert states(run) == {held: "pending", free: "pending"}


def test_a_single_impossible_act_has_the_exit_code_of_its_reason(run: Runner, world: World) -> None:
    job_id = world.train()
    assert run("job", "release", job_id).code == 4
    assert run("job", "requeue", job_id).code == 4
    assert run("job", "retry", job_id).code == 4
    assert run("job", "hold", 99).code == 3


def test_a_dry_run_tells_what_would_become_of_each_job_and_changes_nothing(run: Runner, world: World) -> None:
    running, waiting = world.train(name="busy"), world.train()
    world.claim(world.worker())
    before = states(run)
    found = run("job", "cancel", running, waiting, 99, "--dry-run")
    assert found.code == 1
    rows = [line.split(None, 3) for line in found.lines]
    assert rows[0] == ["ID", "NAME", "STATE", "RESULT"]
    assert rows[1] == [str(running), "busy", "running", f"is being cancelled; pixmill wait {running}"]
    assert rows[2][3] == "is cancelled"
    assert rows[3][3] == "error: there is no job 99"
    assert "nothing was changed" in found.err
    assert states(run) == before
    assert len(run("job", "show", waiting, "-o", "json").json["item"]["events"]) == 1
    assert run("job", "cancel", waiting, "--dry-run").code == 0


def test_the_scheduler_is_told_once(run: Runner, world: World) -> None:
    ids = [world.train(hold=True) for _ in range(3)]
    assert run("job", "release", *ids, "-y").err.count("the scheduler will see the change by itself") == 1
    assert "scheduler" not in run("job", "hold", *ids, "-y").err


def test_a_forced_cancel_ends_what_runs_at_once(run: Runner, world: World) -> None:
    job_id = world.train()
    world.claim(world.worker())
    assert f"job {job_id} is cancelled" in run("cancel", job_id, "--force").err
    assert states(run) == {job_id: "cancelled"}


def test_holding_a_running_job_holds_what_waits_of_it(run: Runner, world: World) -> None:
    worker = world.worker()
    world.trained(worker, name="digits-vae")
    job_id = world.generate("digits-vae", 60_000)
    world.claim(worker)
    assert "goes on with what runs; the rest of it is held" in run("job", "hold", job_id).err
    item = run("job", "show", job_id, "-o", "json").json["item"]
    assert {task["state"] for task in item["tasks"]} == {"running", "held"}


def test_requeue_says_where_the_job_goes_and_show_where_its_task_does(run: Runner, world: World) -> None:
    job_id = world.train()
    world.claim(world.worker())
    assert "stops at its next checkpoint, and waits for a device again" in run("job", "requeue", job_id).err
    assert "stops at its next checkpoint, and is held" in run("job", "requeue", job_id, "--hold").err
    (task,) = run("job", "show", job_id, "-o", "json").json["item"]["tasks"]
    assert (task["state"], task["stop_to"]) == ("running", "held")
    assert "stops at its next checkpoint, then held" in run("job", "show", job_id).out


def test_retry_runs_a_failed_job_again_and_forgives_its_failures(run: Runner, world: World) -> None:
    job_id = world.train(retries=0)
    world.fail(world.claim(world.worker()), FailureReason.ERROR, "odd")
    assert f"job {job_id} is tried again" in run("job", "retry", job_id, "--reason", "fixed").err
    assert states(run) == {job_id: "pending"}
    shown = run("job", "show", job_id).out
    assert "1 failure (1 excused by a retry)" in shown


def test_retry_gives_more_time_before_the_next_attempt_can_begin(run: Runner, world: World) -> None:
    job_id = world.train(time_limit_seconds=60.0)
    world.fail(world.claim(world.worker()), FailureReason.TIME_LIMIT, "ran longer than 1m")
    assert "pixmill job retry 1 --time-limit 4h" in run("job", "why", job_id).out
    assert run("job", "retry", job_id, "--time-limit", "4h").code == 0
    item = run("job", "show", job_id, "-o", "json").json["item"]
    assert item["tasks"][0]["time_limit_seconds"] == 4 * 3600
    assert item["options"]["time_limit_seconds"] == 4 * 3600


def test_retry_from_the_best_checkpoint_needs_one(run: Runner, world: World) -> None:
    job_id = world.train(retries=0)
    lease = world.claim(world.worker())
    world.fail(lease, FailureReason.NON_FINITE_LOSS, "loss is NaN")
    found = run("job", "retry", job_id, "--from", "best")
    assert found.code == 4
    assert "hint:  pixmill job retry 1 --from last" in found.err

    best = Checkpoint(
        task_id=lease.task_id,
        lease_epoch=lease.epoch,
        kind=CheckpointKind.BEST,
        images_seen=7,
        metric_value=0.5,
        path="x",
        sha256="0" * 64,
        size_bytes=1,
    )
    world.database.transact(lambda session: session.add(best))
    assert "is tried again, from its best checkpoint" in run("job", "retry", job_id, "--from", "best").err


def test_retry_of_a_child_names_the_parent_that_comes_first(run: Runner, world: World) -> None:
    parent = world.train(retries=0)
    child = world.train(after=[parent])
    world.fail(world.claim(world.worker()), FailureReason.ERROR, "odd")
    assert run("cancel", child).code == 0
    found = run("job", "retry", child)
    assert found.code == 4
    assert f"hint:  pixmill job retry {parent}" in found.err


def test_top_puts_the_first_named_job_first(run: Runner, world: World) -> None:
    ids = [world.train() for _ in range(4)]
    assert "goes before all that waits in its queue" in run("job", "top", ids[3], ids[2], "-y").err
    assert order(world, *ids) == [ids[3], ids[2], ids[0], ids[1]]


def test_set_changes_priority_queue_and_time_limit(run: Runner, world: World) -> None:
    first, second = world.train(), world.train()
    assert (
        f"job {second} has priority 5, queue night, time limit 2h00m now"
        in run("job", "set", second, "--priority", 5, "--queue", "night", "--time-limit", "2h").err
    )
    item = run("job", "show", second, "-o", "json").json["item"]
    assert (item["priority"], item["queue"]) == (5, "night")
    assert item["tasks"][0]["time_limit_seconds"] == 7200
    assert "2h00m for an attempt" in run("job", "show", second).out
    assert order(world, first, second) == [second, first]
    assert run("job", "set", "--from-queue", "default", "--queue", "night", "-y").code == 0
    assert run("ps", "--queue", "night", "-o", "ids").lines == [str(first), str(second)]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), "--priority, --queue, --time-limit or --array-limit"),
        (("--priority", "1001"), "-1000<=x<=1000"),
        (("--queue", "a/b"), "no name of a queue"),
        (("--time-limit", "soon"), "is not a time span"),
    ],
)
def test_a_change_that_makes_no_sense_is_a_usage_error(
    args: tuple[str, ...], words: str, run: Runner, world: World
) -> None:
    found = run("job", "set", world.train(), *args)
    assert found.code == 2
    assert words in found.err


def test_set_of_an_ended_job_is_a_conflict(run: Runner, world: World) -> None:
    assert run("job", "set", world.trained(world.worker()), "--priority", 1).code == 4


def test_every_state_kind_format_and_encoder_can_be_chosen() -> None:
    from cli.params import ENCODERS, FORMATS, KINDS, STATES
    from pixmill.specs import KINDS as SPEC_KINDS
    from pixmill.specs.formats import ImageEncoder, OutputFormat

    assert (get_args(OutputFormat), get_args(ImageEncoder)) == (FORMATS, ENCODERS)
    assert set(KINDS) == set(SPEC_KINDS)
    assert set(STATES) == {state.value for state in State}


@pytest.mark.parametrize("verb", ACTS)
def test_the_help_of_an_act_tells_how_to_choose_jobs(verb: str) -> None:
    shown = CliRunner().invoke(COMMANDS[f"pixmill job {verb}"], ["--help"]).output
    for word in ("--state", "--kind", "--label", "--queue", "--user", "--reason", "--dry-run", "--yes"):
        assert word in shown
