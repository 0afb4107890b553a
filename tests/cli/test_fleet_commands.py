import json
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from db.tables import DeviceKind, Worker
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
    assert "revision 0001" in found.out
    assert "default: 1 pending" in found.out
    assert "1 worker, 0 busy" in found.out
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
    }
    assert run("queue", "ls").lines[1].split() == ["bulk", "paused", "1", "0", "0", "0", "new", "driver"]
    assert "queue bulk is open" in run("queue", "resume", "bulk").err
    assert "was not paused" in run("queue", "resume", "bulk").err


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
    assert "revision none → 0001" in run("--home", fresh, "db", "upgrade").err
    assert run("--home", fresh, "db", "status").code == 0


@pytest.mark.parametrize("args", [("queue", "pause"), ("output", "verify"), ("completion", "tcsh")])
def test_incomplete_requests_are_usage_errors(args: tuple[str, ...], run: Runner) -> None:
    assert run(*args).code == 2
