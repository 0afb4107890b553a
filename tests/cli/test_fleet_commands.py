import json
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from db.schema import HEAD
from db.tables.fleet import DeviceKind, Scheduler, Worker
from db.workers import stop_worker
from tests.cli.running import Runner, in_subprocess
from tests.cli.world import World
from tests.conftest import Broker


def checks(run: Runner, **variables: str) -> dict[str, str]:
    return {check["part"]: check["state"] for check in run("status", "-o", "json", **variables).json["item"]["checks"]}


def test_status_of_a_fresh_home_says_what_is_missing_and_makes_nothing(run: Runner, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh"
    found = run("--home", fresh, "status")
    assert found.code == 1
    assert "not made yet" in found.out
    assert "hint:  pixmill up" in found.err
    assert not fresh.exists()


def test_status_is_ok_when_everything_answers(run: Runner, world: World, valkey: Broker) -> None:
    world.scheduler()
    world.worker()
    world.train()
    found = run("status", PIXMILL_BROKER_URL=valkey.url)
    assert found.code == 0, found.out
    assert "noeviction" in found.out
    assert f"revision {HEAD}" in found.out
    assert "default: 1 pending" in found.out
    assert "1 worker: 1 free" in found.out
    document = run("status", "-o", "json", PIXMILL_BROKER_URL=valkey.url).json
    assert document["schema"] == "pixmill.status/1"
    assert document["item"]["ok"] is True


def test_status_tells_each_part_that_is_missing(run: Runner, world: World) -> None:
    assert checks(run) == {
        "database": "ok",
        "broker": "down",
        "scheduler": "none",
        "workers": "none",
        "queues": "ok",
        "disk": "ok",
    }
    world.scheduler()
    worker = world.worker()
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    world.database.transact(lambda session: session.execute(update(Worker).values(seen_at=long_ago)))
    assert checks(run)["workers"] == "silent"
    world.database.transact(lambda session: stop_worker(session, worker.id))
    assert checks(run)["workers"] == "none"


def test_status_answers_in_time_when_no_server_does(silent_port: int, tmp_path: Path) -> None:
    found = in_subprocess(
        "status",
        PIXMILL_HOME=str(tmp_path),
        PIXMILL_DATABASE_URL=f"postgresql://olga@127.0.0.1:{silent_port}/x",
        PIXMILL_BROKER_URL=f"redis://127.0.0.1:{silent_port}/0",
    )
    assert found.code == 1
    assert found.out.count(" down ") == 2
    # Not after the time-outs of the driver, which gives a server two seconds for each of its addresses.
    assert "no answer within a second" in found.out


def test_status_says_that_the_schema_does_not_fit(run: Runner, empty_postgres_url: str) -> None:
    found = run("status", PIXMILL_DATABASE_URL=empty_postgres_url)
    assert found.code == 1
    assert "is empty" in found.out
    assert "hint:  pixmill db upgrade" in found.err


def test_workers_and_devices_are_listed_with_what_they_do(run: Runner, world: World) -> None:
    cpu = world.worker()
    world.worker("cuda:0", host="elsewhere", kind=DeviceKind.CUDA)
    world.train()
    world.claim(cpu)

    workers = {item["device"]: item for item in run("worker", "ls", "-o", "json").json["items"]}
    assert workers["cpu"]["state"] == "busy"
    assert workers["cpu"]["job_id"] == 1
    assert workers["cuda:0"]["state"] == "free"
    devices = {item["device"]: item for item in run("device", "ls", "-o", "json").json["items"]}
    assert devices["cuda:0"]["host"] == "elsewhere"
    assert devices["cpu"]["memory_bytes"] == 16_000_000_000
    assert "16.0 GB" in run("device", "ls").out
    assert "elsewhere:cuda:0" in run("worker", "ls").out


def test_lists_without_workers_are_empty_and_no_error(run: Runner) -> None:
    for noun in ("worker", "device"):
        found = run(noun, "ls")
        assert (found.code, found.out) == (0, "")
        assert run(noun, "ls", "-o", "json").json["items"] == []


def test_the_health_check_is_green_while_the_workers_of_this_host_beat(run: Runner, world: World) -> None:
    assert run("worker", "check").code == 1
    world.worker(host="elsewhere")
    assert "no worker runs on" in run("worker", "check").err
    worker = world.worker()
    found = run("worker", "check")
    assert (found.code, found.out, found.err) == (0, "", "")
    assert run("worker", "check", "--device", "cuda:0").code == 1

    minute_ago = datetime.now(UTC) - timedelta(seconds=60)
    world.database.transact(lambda session: session.execute(update(Worker).values(seen_at=minute_ago)))
    assert run("worker", "check").code == 0
    found = run("worker", "check", "--max-age", "30s")
    assert found.code == 1
    assert f"worker {socket.gethostname()}:cpu was last heard of 1m ago" in found.err

    world.database.transact(lambda session: stop_worker(session, worker.id))
    assert run("worker", "check").code == 1


def test_a_worker_for_an_impossible_device_is_a_clear_error(run: Runner) -> None:
    found = run("worker", "start", "--device", "tpu:0")
    assert found.code in {2, 3}
    assert "tpu:0" in found.err
    assert "Traceback" not in found.err


def test_queues_are_paused_and_resumed(run: Runner, world: World) -> None:
    world.train(queue="bulk")
    assert "queue bulk is paused" in run("queue", "pause", "bulk", "--reason", "new driver").err
    assert "was paused already" in run("queue", "pause", "bulk", "--reason", "new driver").err
    (item,) = run("queue", "ls", "-o", "json").json["items"]
    assert item == {
        "name": "bulk",
        "paused": True,
        "reason": "new driver",
        "jobs": {"pending": 1, "queued": 0, "running": 0, "held": 0},
        "tasks": 0,
        "max_running": None,
        "max_running_per_user": None,
        "weight": 1.0,
    }
    assert run("queue", "ls").lines[1].split() == ["bulk", "paused", "1", "0", "0", "0", "0", "–", "1", "new", "driver"]
    assert "queue bulk is open" in run("queue", "resume", "bulk").err
    assert "was not paused" in run("queue", "resume", "bulk").err


def test_a_queue_is_limited_and_weighted(run: Runner, world: World) -> None:
    world.train(queue="bulk", user="ann")
    found = run("queue", "set", "bulk", "--max-running", 1, "--max-running-per-user", 2, "--weight", "0.5")
    assert found.code == 0
    assert "queue bulk: at most 1 task at once, 2 of each user; weight 0.5" in found.err
    assert "the scheduler will see the change by itself" in found.err
    world.claim(world.worker())
    assert run("queue", "ls").lines[1].split() == ["bulk", "full", *"00101", "of", "1", "2", "0.5"]
    assert "any number of tasks at once, 2 of each user" in run("queue", "set", "bulk", "--max-running", "none").err
    (item,) = run("queue", "ls", "-o", "json").json["items"]
    assert (item["max_running"], item["max_running_per_user"], item["weight"], item["tasks"]) == (None, 2, 0.5, 1)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), "--max-running, --max-running-per-user or --weight"),
        (("--max-running", "-1"), "is no limit"),
        (("--max-running", "many"), "write a whole number, or none"),
        (("--weight", "0"), "is no weight"),
        (("--weight", "inf"), "is no weight"),
    ],
)
def test_limits_that_make_no_sense_are_usage_errors(args: tuple[str, ...], words: str, run: Runner) -> None:
    found = run("queue", "set", "default", *args)
    assert found.code == 2
    assert words in found.err


def test_a_device_is_drained_with_a_reason_and_used_again(run: Runner, world: World) -> None:
    world.worker()
    elsewhere = world.worker("cuda:0", host="elsewhere", kind=DeviceKind.CUDA)
    assert run("device", "drain", "elsewhere:cuda:0").code == 2, "a drain needs a reason"
    assert "device elsewhere:cuda:0 is drained" in run("device", "drain", "elsewhere:cuda:0", "--reason", "fan").err
    assert "was drained already" in run("device", "drain", "elsewhere:cuda:0", "--reason", "fan").err
    line = next(line for line in run("device", "ls").lines if "elsewhere" in line)
    assert "drained" in line.split()
    assert line.endswith("fan")
    item = next(item for item in run("device", "ls", "-o", "json").json["items"] if item["host"] == "elsewhere")
    assert (item["state"], item["drained"], item["drain_reason"]) == ("drained", True, "fan")

    world.database.transact(lambda session: stop_worker(session, elsewhere.id))
    assert next(line for line in run("device", "ls").lines if "elsewhere" in line).endswith("drained: fan")
    assert "in use again" in run("device", "resume", "elsewhere:cuda:0").err
    assert "was not drained" in run("device", "resume", "elsewhere:cuda:0").err


def test_draining_says_what_becomes_of_the_job_that_runs_there(run: Runner, world: World) -> None:
    job_id = world.train()
    world.claim(world.worker())
    found = run("device", "drain", "cpu", "--reason", "new driver")
    assert f"job {job_id}, which runs there, goes on to its end; --now has it stopped" in found.err
    assert run("device", "ls", "-o", "json").json["items"][0]["state"] == "draining"
    found = run("device", "drain", "cpu", "--reason", "new driver", "--now")
    assert "stops at its next checkpoint" in found.err
    assert run("job", "show", job_id, "-o", "json").json["item"]["tasks"][0]["stop_to"] == "pending"


def test_a_worker_is_drained_until_it_is_resumed(run: Runner, world: World) -> None:
    world.worker()
    name = f"{socket.gethostname()}:cpu"
    assert f"worker {name} is drained" in run("worker", "drain", "cpu", "--reason", "new code").err
    (item,) = run("worker", "ls", "-o", "json").json["items"]
    assert (item["state"], item["drain_reason"]) == ("drained", "new code")
    assert run("worker", "ls").lines[1].endswith("new code")
    assert f"worker {name} works again" in run("worker", "resume", name).err
    assert "was not drained" in run("worker", "resume", "cpu").err
    assert run("worker", "ls", "-o", "json").json["items"][0]["state"] == "free"


@pytest.mark.parametrize("noun", ["device", "worker"])
def test_a_device_that_does_not_exist_names_the_nearest(noun: str, run: Runner, world: World) -> None:
    found = run(noun, "drain", "cuda:0", "--reason", "x")
    assert found.code == 3
    assert "hint:  pixmill up" in found.err
    world.worker("cuda:0", host="elsewhere", kind=DeviceKind.CUDA)
    found = run(noun, "drain", "cuda:0", "--reason", "x")
    assert found.code == 3, "it is a device of another host"
    assert "elsewhere:cuda:0" in found.err


def test_status_mentions_drained_devices_deaf_workers_and_full_queues(
    run: Runner, world: World, valkey: Broker
) -> None:
    where = {"PIXMILL_BROKER_URL": valkey.url}
    world.scheduler()
    world.worker()
    busy = world.worker("cuda:0", kind=DeviceKind.CUDA)
    world.train(user="ann", device="cuda")
    world.claim(busy)
    assert run("queue", "set", "default", "--max-running-per-user", 1, **where).code == 0
    assert run("device", "drain", "cpu", "--reason", "fan", **where).code == 0
    found = run("status", **where)
    assert found.code == 0, "both are somebody's wish"
    assert "2 workers: 1 busy (job 1), 1 drained: fan" in found.out
    assert "default (runs 1 of 1 of ann)" in found.out
    assert {"drained", "full"} <= set(checks(run, **where).values())
    run("queue", "set", "default", "--max-running", 1, **where)
    assert "default (runs 1 of 1):" in run("status", **where).out
    run("device", "resume", "cpu", **where)
    world.database.transact(lambda session: session.execute(update(Worker).values(canary_sent=2)))
    found = run("status", **where)
    assert found.code == 1
    assert "1 deaf" in found.out


def test_a_deaf_worker_fails_the_health_check(run: Runner, world: World) -> None:
    worker = world.worker()
    deafen(world, sent=4, heard=3)
    assert run("worker", "check").code == 0
    deafen(world, sent=4, heard=2)
    found = run("worker", "check")
    assert found.code == 1
    assert f"worker {socket.gethostname()}:cpu is deaf: it has missed 2 messages" in found.err
    assert run("worker", "ls", "-o", "json").json["items"][0]["state"] == "deaf"
    assert "2 canaries not heard" in run("worker", "ls").out
    world.train()
    world.claim(worker)
    assert run("worker", "check").code == 0, "nothing is sent to a busy worker"


def deafen(world: World, sent: int, heard: int) -> None:
    heard_of = update(Worker).values(canary_sent=sent, canary_heard=heard)
    world.database.transact(lambda session: session.execute(heard_of))


def test_a_queue_that_does_not_exist_names_the_nearest(run: Runner, world: World) -> None:
    assert "a queue comes to be with the first job" in run("queue", "pause", "x").err
    world.train(queue="bulk")
    found = run("queue", "pause", "bluk")
    assert found.code == 3
    assert "did you mean 'bulk'?" in found.err


def test_models_are_listed_by_version(run: Runner, world: World) -> None:
    assert run("model", "ls", "-o", "json").json["items"] == []
    assert "no model is trained yet" in run("model", "ls").err
    worker = world.worker()
    world.trained(worker, name="digits-vae")
    world.trained(worker, name="digits-vae")
    items = run("model", "ls", "--name", "digits-vae", "-o", "json").json["items"]
    assert [item["model"] for item in items] == ["digits-vae@2", "digits-vae@1"]
    assert items[0]["dataset"] == {"name": "digits", "fingerprint": "f" * 64}
    assert "digits-vae@2" in run("model", "ls").lines[1]
    assert "0.0123" in run("model", "ls").lines[1]
    assert "no model is called 'x'" in run("model", "ls", "--name", "x").err


def test_presets_are_listed_with_papers_and_options(run: Runner) -> None:
    items = {item["name"]: item for item in run("model", "presets", "-o", "json").json["items"]}
    assert {"vae", "dcgan", "sngan", "cnn"} <= set(items)
    assert "arXiv" in items["vae"]["paper"]
    assert items["vae"]["options"]["batch_size"] >= 2
    objectives = {name: items[name]["objective"] for name in ("sngan", "wgan-gp", "beta-vae", "vae-gan", "cnn")}
    assert objectives == {
        "sngan": "hinge",
        "wgan-gp": "wgan + 10 gp",
        "beta-vae": "sigma + 4 kl",
        "vae-gan": "sigma + kl + hinge",
        "cnn": "cross-entropy",
    }
    assert "batch_size=" in run("model", "presets", "-o", "wide").out
    assert "batch_size=" not in run("model", "presets").out


def test_settings_are_shown_with_their_sources_and_without_secrets(run: Runner, home: Path) -> None:
    secret = "redis://:sesame@localhost:6379/0"
    found = run("config", "show", "--sources", PIXMILL_BROKER_URL=secret)
    assert found.code == 0
    assert "sesame" not in found.out
    rows = {line.split()[0]: line.split() for line in found.lines}
    assert rows["home"] == ["home", str(home), "environment"]
    assert rows["broker.url"][-1] == "environment"
    assert rows["database.url"] == ["database.url", f"sqlite:///{home}/pixmill.db", "default"]
    assert "environment" not in run("config", "show").out
    assert "sesame" not in json.dumps(run("config", "show", "-o", "json", PIXMILL_BROKER_URL=secret).json)


def test_the_schema_is_shown_and_upgraded(run: Runner, tmp_path: Path) -> None:
    assert run("db", "status", "-o", "json").json["item"]["status"] == "ok"
    fresh = tmp_path / "fresh"
    found = run("--home", fresh, "db", "status")
    assert found.code == 78
    assert "empty" in found.out
    assert f"revision none → {HEAD}" in run("--home", fresh, "db", "upgrade").err
    assert run("--home", fresh, "db", "status").code == 0


@pytest.mark.parametrize("args", [("queue", "pause"), ("output", "verify"), ("completion", "tcsh")])
def test_incomplete_requests_are_usage_errors(args: tuple[str, ...], run: Runner) -> None:
    assert run(*args).code == 2


def test_the_health_check_of_a_scheduler_is_green_while_that_of_this_host_ticks(run: Runner, world: World) -> None:
    found = run("scheduler", "check")
    assert (found.code, found.err) == (1, f"no scheduler runs on {socket.gethostname()}\n")
    world.scheduler()
    found = run("scheduler", "check")
    assert (found.code, found.out, found.err) == (0, "", "")

    minute_ago = datetime.now(UTC) - timedelta(seconds=60)
    world.database.transact(lambda session: session.execute(update(Scheduler).values(seen_at=minute_ago)))
    found = run("scheduler", "check", "--max-age", "30s")
    assert (found.code, found.err) == (
        1, f"the scheduler of {socket.gethostname()}, process 4712, last ticked 1m ago\n"
    )  # fmt: skip
    assert run("scheduler", "check", "--max-age", "5m").code == 0

    world.database.transact(lambda session: session.execute(update(Scheduler).values(host="elsewhere")))
    assert run("scheduler", "check", "--max-age", "5m").code == 1
