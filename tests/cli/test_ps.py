import re
import subprocess
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from db.control import cancel_job, drain_device, requeue_job
from db.dispatch import queue_ready_tasks
from db.lanes import Slot
from db.queues import pause_queue, set_queue
from db.tables.fleet import DeviceKind, Scheduler, Worker
from db.tables.jobs import Job
from db.workers import beat_scheduler, latest_scheduler, set_draining, stop_worker
from pixmill.specs import TrainSpec
from pixmill.states import FailureReason
from tests.cli.running import Runner, command_line, environment
from tests.cli.world import World


def reason(run: Runner, job_id: int) -> str | None:
    (item,) = [item for item in run("ps", "--all", "-o", "json").json["items"] if item["id"] == job_id]
    found: str | None = item["reason"]
    return found


def why(run: Runner, job_id: int) -> str:
    return run("job", "why", str(job_id)).out


def test_an_empty_list_is_no_error(run: Runner) -> None:
    found = run("ps")
    assert (found.code, found.out) == (0, "")
    assert "no jobs to list" in found.err
    assert run("ps", "-o", "json").json == {"schema": "pixmill.job_list/1", "items": [], "next": None}
    assert run("ps", "-o", "ids").out == ""


def test_a_job_is_listed_at_once(run: Runner) -> None:
    run("submit", "train", "--model", "vae", "--dataset", "digits", "--name", "mine")
    title, line = run("ps").lines
    assert title.split() == [
        "ID",
        "NAME",
        "KIND",
        "MODEL",
        "STATE",
        "PROG",
        "DEVICE",
        "AGE",
        "TIME",
        "RATE",
        "ETA",
        "BOUND",
        "REASON",
    ]
    assert line.split()[:5] == ["1", "mine", "train", "vae", "pending"]


def test_a_running_job_shows_its_progress_and_device(run: Runner, world: World) -> None:
    world.train()
    lease = world.claim(world.worker())
    world.progress(lease, 4350)

    line = run("ps").lines[1].split()
    assert line[4:7] == ["running", "43%", "cpu"]
    item = run("ps", "-o", "json").json["items"][0]
    assert item["progress"] == {"done": 4350, "total": 10_000, "unit": "images"}
    assert item["reason"] is None


def test_a_running_generate_job_shows_its_rate_and_what_it_is_bound_by(run: Runner, world: World) -> None:
    worker = world.worker()
    world.trained(worker, name="digits-vae")
    job_id = world.generate("digits-vae", 60_000)
    assert [run("ps", "-o", "json").json["items"][-1][name] for name in ("rate", "eta_seconds", "bound_by")] == [
        None
    ] * 3
    lease = world.claim(worker)
    world.progress(lease, 4300, spent={"device": 3.0, "encode": 1.0})

    item = run("ps", "-o", "json").json["items"][-1]
    assert (item["bound_by"], item["spent_seconds"]) == ("device", {"device": 3.0, "encode": 1.0})
    assert item["rate"] > 4300 / 60  # it began less than a minute ago
    assert item["eta_seconds"] == pytest.approx((60_000 - 4300) / item["rate"], abs=0.1)
    shown = run("job", "show", job_id).out
    assert "images a second of the last minute" in shown
    assert "device (device 75%, encode 25%)" in shown
    assert "device" in run("ps").lines[-1].split()


def test_a_device_of_another_host_is_shown_with_its_host(run: Runner, world: World) -> None:
    world.train()
    world.claim(world.worker(host="elsewhere"))
    assert "elsewhere:cpu" in run("ps").lines[1]


def test_the_list_holds_the_unfinished_and_the_last_ten_that_ended(run: Runner, world: World) -> None:
    worker = world.worker()
    ids = [world.train() for _ in range(13)]
    for _ in range(12):
        world.succeed(world.claim(worker))

    assert run("ps", "-o", "ids").out.split() == [str(job_id) for job_id in ids[2:]]
    assert len(run("ps", "--all", "-o", "ids").lines) == 13
    assert run("ps", "--state", "pending", "-o", "ids").out.split() == ["13"]
    assert len(run("ps", "--state", "succeeded", "-o", "ids").lines) == 12


def test_filters_choose_by_kind_and_label(run: Runner, world: World) -> None:
    train = world.train(labels={"project": "a"})
    generate = world.generate(f"job:{train}", labels={"project": "a", "night": "1"})
    world.train(labels={"project": "b"})

    assert run("ps", "-l", "project=a", "-o", "ids").lines == [str(train), str(generate)]
    assert run("ps", "-l", "project=a", "-l", "night=1", "-o", "ids").lines == [str(generate)]
    assert run("ps", "--kind", "generate", "-o", "ids").lines == [str(generate)]


def test_a_list_can_be_read_page_by_page(run: Runner, world: World) -> None:
    ids = [world.train() for _ in range(5)]
    seen: list[int] = []
    arguments: list[object] = []
    while True:
        page = run("ps", "--limit", 2, "-o", "json", *arguments).json
        seen = [item["id"] for item in page["items"]] + seen
        if page["next"] is None:
            break
        arguments = ["--before", page["next"]["before"]]
    assert seen == ids
    assert "older jobs are not listed: pixmill ps --before 4" in run("ps", "--limit", 2).err


def test_all_lists_more_jobs_than_one_statement_may_name(
    run: Runner, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.jobs.PAGE", 2)
    ids = [world.train() for _ in range(5)]
    assert run("ps", "--all", "-o", "ids").lines == [str(job_id) for job_id in ids]


def test_held_comes_before_every_other_reason(run: Runner, world: World) -> None:
    job_id = world.train(hold=True, begin="2099-01-01T00:00:00Z", after=[world.train()])
    assert reason(run, job_id) == "Held"
    world.database.transact(lambda session: pause_queue(session, "default", actor="olga", why=None))
    assert run("job", "release", job_id).code == 0
    assert str(reason(run, job_id)).startswith("BeginTime(+")


def test_a_dependency_comes_before_a_paused_queue_and_names_the_jobs(run: Runner, world: World) -> None:
    first, second = world.train(), world.train()
    job_id = world.train(after=[first, second])
    world.database.transact(lambda session: pause_queue(session, "default", actor="olga", why="new driver"))
    assert reason(run, job_id) == f"Dependency({first},{second})"
    assert reason(run, first) == "QueuePaused"
    assert "QueuePaused: new driver" in run("ps").out


def test_without_a_worker_of_its_kind_a_job_says_so(run: Runner, world: World) -> None:
    anywhere, on_gpu = world.train(), world.train(device="cuda")
    assert reason(run, anywhere) == "NoWorker"
    world.worker()
    world.scheduler()
    assert reason(run, anywhere) is None
    assert reason(run, on_gpu) == "NoWorker"
    world.worker("cuda:0", kind=DeviceKind.CUDA)
    assert reason(run, on_gpu) is None


def test_without_a_worker_of_so_many_devices_a_job_says_how_many_there_are(run: Runner, world: World) -> None:
    world.scheduler()
    job_id = world.submit(TrainSpec(model="vae", dataset="digits", devices=4), device="cuda")
    assert "NoWorker  it takes 4 cuda devices of one worker at once; none runs at all" in why(run, job_id)
    world.worker("cuda:0-1", kind=DeviceKind.CUDA, width=2)
    said = why(run, job_id)
    assert "it takes 4 cuda devices of one worker at once; the widest of 1 worker owns 2" in said
    assert "pixmill worker start --device cuda:0-3" in said
    assert reason(run, job_id) == "NoWorker"
    world.worker("cuda:2-5", kind=DeviceKind.CUDA, width=4)
    assert reason(run, job_id) is None


def test_jobs_are_listed_by_queue_and_user(run: Runner, world: World) -> None:
    first, second = world.train(queue="bulk", user="ann"), world.train(queue="bulk", user="bob")
    world.train(queue="lab", user="ann")
    assert run("ps", "--queue", "bulk", "-o", "ids").lines == [str(first), str(second)]
    assert run("ps", "--queue", "bulk", "--user", "bob", "-o", "ids").lines == [str(second)]
    assert run("ps", "--all", "--user", "ann", "--user", "bob", "-o", "ids").lines == ["1", "2", "3"]


@pytest.mark.parametrize("end", [stop_worker, set_draining])
def test_a_worker_that_takes_nothing_more_counts_as_none(end: object, run: Runner, world: World) -> None:
    assert callable(end)
    job_id = world.train()
    world.scheduler()
    worker = world.worker()
    world.database.transact(lambda session: end(session, worker.id))
    assert reason(run, job_id) == "NoWorker"


def test_a_worker_that_went_silent_counts_as_none(run: Runner, world: World) -> None:
    job_id = world.train()
    world.scheduler()
    worker = world.worker()
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    world.database.transact(lambda session: session.execute(update(Worker).values(seen_at=long_ago)))
    assert reason(run, job_id) == "NoWorker"
    assert run("worker", "ls", "-o", "json").json["items"][0]["state"] == "silent"
    assert worker.id == 1


def test_without_a_scheduler_nothing_starts(run: Runner, world: World) -> None:
    job_id = world.train()
    world.worker()
    assert reason(run, job_id) == "NoScheduler"
    world.scheduler()
    assert reason(run, job_id) is None
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    world.database.transact(lambda session: session.execute(update(Scheduler).values(seen_at=long_ago)))
    assert reason(run, job_id) == "NoScheduler"


def test_busy_devices_come_before_a_broker_that_is_down(run: Runner, world: World) -> None:
    world.scheduler()
    worker = world.worker()
    world.train()
    lease = world.claim(worker)
    job_id = world.train()

    def lose_broker(session: object) -> None:
        scheduler = latest_scheduler(session)  # type: ignore[arg-type]
        assert scheduler is not None
        beat_scheduler(session, scheduler.id, "Redis does not answer: refused")  # type: ignore[arg-type]

    world.database.transact(lose_broker)
    assert reason(run, job_id) == "Resources"
    world.succeed(lease)
    assert reason(run, job_id) == "BrokerDown"
    assert "BrokerDown: Redis does not answer: refused" in run("ps").out


def test_a_job_in_its_back_off_says_for_how_long_and_after_what(run: Runner, world: World) -> None:
    world.scheduler()
    worker = world.worker()
    job_id = world.train(retry_seconds=1200.0)
    world.fail(world.claim(worker), FailureReason.DISK_FULL, "no space left")
    assert str(reason(run, job_id)).startswith("RetryBackoff(")
    assert re.search(r"RetryBackoff\((1[5-9]|2[0-4])m\): retry 1 of 2, after DiskFull: no space left", run("ps").out)
    world.train()
    world.claim(worker)
    assert str(reason(run, job_id)).startswith("RetryBackoff("), "a free device would not help it"


def test_another_task_that_could_start_takes_the_back_off_out_of_the_list(run: Runner, world: World) -> None:
    worker = world.worker()
    world.scheduler()
    world.trained(worker, name="digits-vae")
    job_id = world.generate("digits-vae", 60_000)  # several tasks
    world.fail(world.claim(worker), FailureReason.ERROR, "odd")
    assert reason(run, job_id) is None
    world.train(priority=1000)
    world.claim(worker)
    assert reason(run, job_id) == "Resources"


def test_a_queue_that_runs_all_it_may_says_so(run: Runner, world: World) -> None:
    world.scheduler()
    worker, _other = world.worker(), world.worker("cuda:0", kind=DeviceKind.CUDA)
    world.train(user="ann")
    world.claim(worker)
    job_id = world.train(user="ann")
    assert reason(run, job_id) is None
    limit_queue(world, max_running_per_user=1)
    assert reason(run, job_id) == "QueueLimit"
    assert "QueueLimit: queue default runs 1 of 1 of ann" in run("ps").out
    assert reason(run, world.train(user="bob")) is None
    limit_queue(world, max_running=1)
    assert "QueueLimit: queue default runs 1 of 1\n" in run("ps").out


def limit_queue(world: World, **limits: Any) -> None:
    world.database.transact(lambda session: set_queue(session, "default", actor="olga", **limits))


def test_drained_devices_say_why(run: Runner, world: World) -> None:
    world.scheduler()
    worker = world.worker()
    job_id = world.train()
    drain(world, worker)
    assert reason(run, job_id) == "Drained"
    assert "Drained: new driver" in run("ps").out
    world.worker("cuda:0", kind=DeviceKind.CUDA)
    assert reason(run, job_id) is None


def drain(world: World, worker: Worker) -> None:
    world.database.transact(
        lambda session: drain_device(session, worker.device_id, actor="olga", why="new driver"),
    )


def test_a_deaf_worker_counts_as_none(run: Runner, world: World) -> None:
    world.scheduler()
    world.worker()
    job_id = world.train()
    world.database.transact(lambda session: session.execute(update(Worker).values(canary_sent=3, canary_heard=1)))
    assert reason(run, job_id) == "NoWorker"
    assert "1 worker: 1 deaf" in run("ps").out


def test_others_go_first_where_every_free_device_is_promised(run: Runner, world: World) -> None:
    world.scheduler()
    world.worker()
    first = world.train()
    second = world.train()
    world.database.transact(lambda session: queue_ready_tasks(session, Slot(DeviceKind.CPU), 1))
    assert (reason(run, first), reason(run, second)) == (None, "Priority")


def test_a_job_whose_parent_failed_says_that_it_waits_in_vain(run: Runner, world: World) -> None:
    parent = world.train(retries=0)
    child = world.train(after=[parent])
    world.fail(world.claim(world.worker()), FailureReason.ERROR, "odd")
    assert reason(run, child) == "DependencyNeverSatisfied"


@pytest.mark.parametrize(("hold", "code"), [(False, "Requeueing"), (True, "Holding")])
def test_a_job_that_is_taken_off_its_device_says_so(hold: bool, code: str, run: Runner, world: World) -> None:
    job_id = world.train()
    world.claim(world.worker())
    world.database.transact(lambda session: requeue_job(session, job_id, actor="olga", hold=hold))
    assert reason(run, job_id) == code


def test_a_failed_job_shows_why(run: Runner, world: World) -> None:
    job_id = world.train()
    world.fail(world.claim(world.worker()), FailureReason.OUT_OF_MEMORY, "tried to allocate 2 GiB")
    assert "OOM: tried to allocate 2 GiB" in run("ps").out
    item = run("job", "show", job_id, "-o", "json").json["item"]
    assert (item["reason"], item["message"]) == ("OOM", "tried to allocate 2 GiB")


def test_a_running_job_that_is_being_cancelled_says_so(run: Runner, world: World) -> None:
    job_id = world.train()
    world.claim(world.worker())
    world.database.transact(lambda session: cancel_job(session, job_id, actor="olga"))
    assert reason(run, job_id) == "Cancelling"


def test_a_job_between_two_of_its_tasks_says_that_it_waits(run: Runner, world: World) -> None:
    worker = world.worker()
    world.trained(worker, name="digits-vae")
    job_id = world.generate("digits-vae")
    world.succeed(world.claim(worker))
    assert reason(run, job_id) == "NoScheduler"
    world.scheduler()
    assert reason(run, job_id) == "Requeued"
    world.train(device="cpu", priority=1000)
    world.claim(worker)
    assert reason(run, job_id) == "Resources"


def test_wide_shows_queue_user_tasks_and_labels(run: Runner, world: World) -> None:
    world.train(queue="bulk", priority=7, labels={"a": "b"}, key="night")
    title, line = run("ps", "-o", "wide").lines
    assert "SUBMITTED" in title
    for word in ("bulk", "7", "olga", "0/1", "night", "a=b"):
        assert word in line.split()


def test_hostile_text_in_a_pipe_is_whole_and_harmless(run: Runner, world: World) -> None:
    long_name = "n" * 100
    spec = TrainSpec(model="vae", dataset="digits")
    job_id = world.submit(spec, name=long_name, labels={"note": "x\x1b[2J\ny" + "z" * 200})
    world.database.transact(
        lambda session: session.execute(update(Job).where(Job.id == job_id).values(state="failed", message="a\nb\x07"))
    )
    wide = run("ps", "--all", "-o", "wide", COLUMNS="40")
    assert len(wide.lines) == 2
    assert long_name in wide.out
    assert "z" * 200 in wide.out
    assert "\x1b" not in wide.out
    assert "\x07" not in wide.out
    item = run("ps", "--all", "-o", "json", COLUMNS="40").json["items"][0]
    assert item["name"] == long_name
    assert item["labels"] == {"note": "x\x1b[2J\ny" + "z" * 200}


def test_what_failed_tonight_is_chosen_by_its_end(run: Runner, world: World) -> None:
    worker = world.worker()
    failed = [world.train(retries=0) for _ in range(2)]
    for job_id in failed:
        world.fail(world.claim_by(worker, job_id), FailureReason.OUT_OF_MEMORY, "tried to allocate 2 GiB")
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    moments = {failed[0]: {"submitted_at": long_ago, "finished_at": long_ago}, failed[1]: {"submitted_at": long_ago}}
    for job_id, values in moments.items():
        changed = update(Job).where(Job.id == job_id).values(**values)
        world.database.transact(partial(Session.execute, statement=changed))
    world.train()
    assert run("ps", "--ended-since", "1h", "-o", "ids").out == f"{failed[1]}\n"
    assert run("ps", "--all", "--state", "failed", "--since", "1h", "-o", "ids").out == ""
    assert f"job {failed[1]} is tried again" in run("job", "retry", "--ended-since", "1h", "-y").err


def test_json_of_hostile_length_is_json_for_any_reader(world: World) -> None:
    """Another program reads it from a pipe, however narrow the terminal is said to be."""
    world.train()
    name = "n" * 200
    world.database.transact(lambda session: session.execute(update(Job).values(name=name)))
    narrow = environment(COLUMNS="40")
    listed = subprocess.run(command_line("ps", "-o", "json"), capture_output=True, env=narrow, check=True)
    read = subprocess.run([sys.executable, "-m", "json.tool"], input=listed.stdout, capture_output=True, check=True)
    assert name in read.stdout.decode()


def test_a_fresh_home_gets_its_database_without_a_word(run: Runner, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh" / "home"
    found = run("--home", fresh, "ps", "-o", "json")
    assert (found.code, found.err) == (0, "")
    assert (fresh / "pixmill.db").is_file()
    assert run("--home", fresh, "db", "status", "-o", "json").json["item"]["status"] == "ok"
