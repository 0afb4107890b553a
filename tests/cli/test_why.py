import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from client.why import _AFTER_SUCCESS, _REMEDIES
from db.control import drain_device, hold_job, requeue_job
from db.queues import pause_queue, set_queue
from db.tables.fleet import DeviceKind, Worker
from db.tables.jobs import Account
from db.workers import beat_scheduler, latest_scheduler
from pixmill.specs import PingSpec
from pixmill.states import FailureReason
from tests.cli.running import Runner, at_once, on_terminal, without_escapes
from tests.cli.tree import COMMANDS
from tests.cli.world import World


def why(run: Runner, job_id: int) -> dict[str, str]:
    """Reason → its words, in order."""
    found = run("job", "why", job_id, "-o", "json")
    assert found.code == 0, found.err
    assert found.json["schema"] == "pixmill.job_why/1"
    return {reason["reason"]: reason["text"] for reason in found.json["item"]["reasons"]}


def test_all_reasons_stand_in_the_order_in_which_they_would_have_to_change(run: Runner, world: World) -> None:
    parent = world.train(user="ann")
    job_id = world.train(hold=True, begin="2099-01-01T00:00:00Z", after=[parent], device="cuda", queue="lab")
    world.database.transact(lambda session: pause_queue(session, "lab", actor="olga", why="new driver"))
    assert list(why(run, job_id)) == ["Held", "BeginTime", "Dependency", "QueuePaused", "NoWorker", "NoScheduler"]
    lines = run("job", "why", job_id).lines
    assert at_once(lines[0]) == f"job {job_id} (vae-digits) is held, submitted 0s ago"
    assert lines[1].startswith("  1. Held")
    assert [line.strip().removeprefix("try:").strip() for line in lines[-4:]] == [
        f"pixmill job release {job_id}",
        f"pixmill job why {parent}",
        "pixmill queue resume lab",
        "pixmill up",
    ]


def test_a_hold_says_who_when_and_why(run: Runner, world: World) -> None:
    job_id = world.train()
    world.database.transact(lambda session: hold_job(session, job_id, actor="bob", why="data set is being mended"))
    assert at_once(why(run, job_id)["Held"]) == "by bob 0s ago: data set is being mended"
    assert at_once(why(run, world.train(hold=True))["Held"]) == "by olga 0s ago with its submit"


def test_a_begin_time_says_when_and_in_how_long(run: Runner, world: World) -> None:
    begin = datetime.now(UTC) + timedelta(hours=3, seconds=30)
    words = why(run, world.train(begin=begin.isoformat()))["BeginTime"]
    assert words == f"begins at {begin:%Y-%m-%d %H:%M:%S}Z (in 3h00m)"


def test_a_dependency_says_how_far_it_is(run: Runner, world: World) -> None:
    parent = world.train()
    world.progress(world.claim(world.worker()), 4300)
    held = world.train(hold=True)
    assert why(run, world.train(after=[parent, held]))["Dependency"] == (
        f"waits for job {parent} (running, 43%), job {held} (held)"
    )


def test_a_limit_says_how_many_run(run: Runner, world: World) -> None:
    world.scheduler()
    worker = world.worker()
    world.train(queue="gpu", user="ann")
    world.claim(worker)
    job_id = world.train(queue="gpu", user="ann")
    world.database.transact(lambda session: set_queue(session, "gpu", actor="olga", max_running_per_user=1))
    assert why(run, job_id)["QueueLimit"] == "queue gpu runs 1 of 1 of ann"
    assert "pixmill queue set gpu --max-running-per-user 2" in run("job", "why", job_id).out
    world.database.transact(lambda session: set_queue(session, "gpu", actor="olga", max_running=1))
    assert why(run, job_id)["QueueLimit"] == "queue gpu runs 1 of 1"


def test_resources_count_the_devices_by_what_they_do(run: Runner, world: World) -> None:
    world.scheduler()
    first, second, third = world.worker("cpu:0"), world.worker("cpu:1"), world.worker("cpu:2")
    world.train()
    world.train()
    world.claim(first)
    world.claim(second)
    world.database.transact(lambda session: drain_device(session, third.device_id, actor="olga", why="new driver"))
    job_id = world.train()
    assert why(run, job_id)["Resources"] == "3 workers: 2 busy (jobs 1, 2), 1 drained: new driver"


def test_drained_devices_are_named_with_the_command_that_frees_them(run: Runner, world: World) -> None:
    world.scheduler()
    worker = world.worker("cuda:0", host="elsewhere", kind=DeviceKind.CUDA)
    world.database.transact(lambda session: drain_device(session, worker.device_id, actor="olga", why="new driver"))
    job_id = world.train(device="cuda")
    assert why(run, job_id)["Drained"] == "1 worker: 1 drained: new driver"
    assert "pixmill device resume elsewhere:cuda:0" in run("job", "why", job_id).out


def test_priority_counts_who_is_ahead_and_what_they_have_used(run: Runner, world: World) -> None:
    world.scheduler()
    world.claim_by(world.worker(), world.train())
    for user in ("ann", "ann", "bob"):
        world.train(user=user)
    job_id = world.train(user="bob")
    assert why(run, job_id)["Priority"] == "3 tasks are ahead of it (1 of the same user)"

    charge(world, "bob", 3600.0)
    assert why(run, job_id)["Priority"].endswith("; bob used 3,600 device seconds, ann 0")
    for _ in range(20):
        world.train(user="ann")
    found = run("job", "why", job_id, "-o", "json").json["item"]["reasons"][-1]
    assert found["facts"]["tasks"] == 23, "an hour of use lets later jobs of others go first"
    assert found["facts"]["of_the_user"] == 1
    assert run("job", "top", job_id).code == 0
    assert "(1 of the same user)" not in why(run, job_id)["Priority"]


def charge(world: World, user: str, seconds: float) -> None:
    of_user = update(Account).where(Account.user_name == user).values(device_seconds=seconds)
    world.database.transact(lambda session: session.execute(of_user))


def test_a_back_off_says_which_retry_it_is_and_when(run: Runner, world: World) -> None:
    world.scheduler()
    worker = world.worker()
    job_id = world.train(retries=1, retry_seconds=3000.0)
    world.fail(world.claim(worker), FailureReason.DISK_FULL, "no space left")
    world.claim_by(worker, world.train())
    reasons = why(run, job_id)
    assert re.fullmatch(r"retry 1 of 1 in \S+m\d\ds|retry 1 of 1 in \d+h\d\dm", reasons["RetryBackoff"].split(",")[0])
    assert reasons["RetryBackoff"].endswith("after DiskFull: no space left")
    assert list(reasons) == ["RetryBackoff", "Resources"]
    shown = run("job", "show", job_id).out
    assert "1 of 1 used, 0 left" in shown
    assert "1 failure" in shown


def test_a_broker_that_is_down_comes_last(run: Runner, world: World) -> None:
    world.scheduler()
    world.claim_by(world.worker(), world.train())
    job_id = world.train()

    def lose_broker(session: object) -> None:
        scheduler = latest_scheduler(session)  # type: ignore[arg-type]
        assert scheduler is not None
        beat_scheduler(session, scheduler.id, "Redis does not answer: refused")  # type: ignore[arg-type]

    world.database.transact(lose_broker)
    assert list(why(run, job_id)) == ["Resources", "BrokerDown"]


def test_a_job_that_nothing_holds_back_says_so(run: Runner, world: World) -> None:
    world.scheduler()
    world.worker()
    job_id = world.train()
    assert why(run, job_id) == {}
    assert "the scheduler starts it at its next look" in run("job", "why", job_id).out


def test_a_running_job_says_where_since_when_and_what_keeps_the_rest(run: Runner, world: World) -> None:
    world.scheduler()
    worker = world.worker()
    world.trained(worker, name="digits-vae")
    job_id = world.generate("digits-vae", 60_000, time_limit_seconds=7200.0)
    lease = world.claim(worker)
    world.progress(lease, 4300)
    lines = [at_once(line) for line in run("job", "why", job_id).lines]
    assert re.fullmatch(rf"job {job_id} \(digits-vae-images\) has been running for 0s: 7% of 60k images", lines[0])
    assert lines[1] == "  task 0 (generate) on cpu for 0s of at most 2h00m, 43%, training, 812 images a second"
    assert lines[2].startswith("  ")
    assert "1 running" in lines[2]
    assert list(why(run, job_id)) == ["Resources"]
    world.database.transact(lambda session: requeue_job(session, job_id, actor="olga", hold=True))
    assert list(why(run, job_id))[:2] == ["Holding", "Held"]


@pytest.mark.parametrize("reason", [reason for reason in FailureReason if reason is not FailureReason.DEPENDENCY])
def test_a_failed_job_says_how_and_what_to_do(reason: FailureReason, run: Runner, world: World) -> None:
    job_id = world.train(retries=0)
    world.fail(world.claim(world.worker()), reason, "it went wrong")
    found = run("job", "why", job_id)
    assert f"job {job_id} (vae-digits) failed 0s ago, after 0s" in at_once(found.out)
    assert f"1. {reason}  it went wrong" in found.out
    assert "  try:  pixmill " in found.out


def test_a_job_whose_parent_failed_says_which_one_to_retry_first(run: Runner, world: World) -> None:
    from db.dispatch import fail_doomed_jobs

    parent = world.train(retries=0)
    child = world.train(after=[parent])
    world.fail(world.claim(world.worker()), FailureReason.ERROR, "odd")
    world.database.transact(fail_doomed_jobs)
    item = run("job", "why", child, "-o", "json").json["item"]
    assert item["reasons"][0]["reason"] == "DependencyNeverSatisfied"
    assert item["remedies"] == [f"pixmill job retry {parent}", f"pixmill job retry {child}"]


def test_a_cancelled_job_says_by_whom_and_why(run: Runner, world: World) -> None:
    job_id = world.train()
    run("cancel", job_id, "--reason", "wrong data")
    (words,) = why(run, job_id).values()
    assert re.fullmatch(r"by \S.* \d+s ago: wrong data", words)


def test_a_job_that_succeeded_says_what_may_come_next(run: Runner, world: World) -> None:
    worker = world.worker()
    job_id = world.trained(worker)
    assert f"try:  pixmill submit generate --model job:{job_id} -n 10k" in run("job", "why", job_id).out
    ping = world.submit(PingSpec())
    world.succeed(world.claim(worker))
    assert at_once(run("job", "why", ping).out) == f"job {ping} (ping) succeeded 0s ago, after 0s\n"


def test_the_remedies_name_commands_that_exist() -> None:
    for remedies in (*_REMEDIES.values(), *_AFTER_SUCCESS.values()):
        for remedy in remedies:
            for call in re.findall(r"pixmill ((?:[a-z]+ ?)+)", remedy):
                assert any(f"pixmill {' '.join(call.split()[:length])}" in COMMANDS for length in (1, 2)), call


def test_the_screen_fits_a_narrow_terminal_and_a_pipe_has_whole_lines(run: Runner, world: World) -> None:
    world.scheduler()
    job_id = world.train()
    world.database.transact(
        lambda session: pause_queue(session, "default", actor="olga", why="a reason of many words " * 8)
    )
    shown = on_terminal("job", "why", job_id, columns=60)
    assert max(len(line) for line in without_escapes(shown.out).splitlines()) <= 60
    assert "\x1b" not in on_terminal("job", "why", job_id, columns=60, NO_COLOR="1").out
    assert "many words a reason of many words" in run("job", "why", job_id, COLUMNS="40").out


def test_a_deaf_worker_is_told(run: Runner, world: World) -> None:
    world.scheduler()
    world.worker()
    job_id = world.train()
    world.database.transact(lambda session: session.execute(update(Worker).values(canary_sent=2)))
    assert why(run, job_id)["NoWorker"] == "no worker runs (1 worker: 1 deaf)"
