"""What monitoring systems are told, and how they get at it."""

import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from sqlalchemy import insert, text, update

from client.monitoring import exporter as exporting
from client.monitoring.exporter import MOST_CLIENTS, Exporter
from client.monitoring.exposition import Exposition, text_of
from client.monitoring.families import FAMILIES, exposed_names
from client.monitoring.readings import MOST
from db.aliases import Deed, promote
from db.leases import finish
from db.queues import pause_queue
from db.schema import VERSION_TABLE
from db.tables.fleet import Scheduler, Worker
from db.tables.jobs import Outcome, Queue, Task
from db.workers import Reading, beat_scheduler, beat_worker, database_time, register_scheduler, stop_worker
from pixmill.aliases import CHAMPION
from pixmill.schedules import Catchup, Overlap
from pixmill.settings import load_settings
from pixmill.states import FailureReason
from scheduler.bookkeeper import Bookkeeper
from tests import rows
from tests.cli.world import World
from tests.rows import act
from tests.scheduler.nights import NAME, Nights
from tests.scheduler.test_process import scheduling
from tests.waiting import wait_until

Told = dict[tuple[str, ...], float]
OPEN_METRICS = "application/openmetrics-text; version=1.0.0"
DEED = Deed(actor="ann", reason="tried")
PAGE = Path(__file__).parents[2] / "docs" / "observability.md"


def told(world: World) -> Told:
    """Name and values of the labels → value, parsed as OpenMetrics."""
    registry = CollectorRegistry()
    registry.register(Exposition(world.database, world.settings))
    return parsed(generate_latest(registry).decode())  # type: ignore[no-untyped-call]


def parsed(exposed: str) -> Told:
    families = text_string_to_metric_families(exposed)  # type: ignore[no-untyped-call]
    samples = [sample for family in families for sample in family.samples]
    return {
        (sample.name.removeprefix("pixmill_"), *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for sample in samples
    }


def of(found: Told, name: str) -> dict[tuple[str, ...], float]:
    return {tuple(labels): value for (each, *labels), value in found.items() if each == name}


def test_an_empty_installation_tells_every_family_and_no_job(world: World) -> None:
    found = told(world)
    assert found["database_up",] == found["schema_current", "0015", "0015"] == 1
    assert found["schedulers_alive",] == found["tasks_startable",] == found["totals_complete",] == 0
    assert of(found, "jobs_ended_total") == {}, "not before all that there was is counted"
    exposed = text_of(Exposition(world.database, world.settings))
    assert [name for name in exposed_names() if f"# TYPE {name} " not in exposed] == []


def test_tasks_wait_for_reasons(world: World) -> None:
    first = world.train()
    later = world.train()
    world.train(hold=True)
    rows.add(world.database, queue="later", parents={first: False})
    rows.add(world.database, queue="shut")
    act(world.database, pause_queue, "shut", actor="ann", why=None)
    with world.database.write() as session:
        in_an_hour = database_time(session) + timedelta(hours=1)
        session.execute(update(Task).where(Task.job_id == later).values(available_at=in_an_hour))
    found = told(world)
    assert {labels: count for labels, count in of(found, "tasks_waiting").items() if count} == {
        ("default", "NoWorker"): 1,
        ("default", "BeginTime"): 1,
        ("default", "Held"): 1,
        ("later", "Dependency"): 1,
        ("shut", "QueuePaused"): 1,
    }
    assert found["tasks", "default", "pending"] == 2
    assert found["tasks", "default", "held"] == 1
    assert found["queue_paused", "shut"] == 1
    assert found["tasks_startable",] == 0
    worker = world.worker()
    found = told(world)
    assert found["tasks_waiting", "default", "Resources"] == 1
    assert found["tasks_startable",] == 1
    assert 0 <= found["queue_oldest_waiting_age_seconds", "default"] < 600
    lease = world.claim(worker)
    assert lease.job_id == first
    found = told(world)
    assert found["tasks_active", "default", "train", "running"] == found["tasks", "default", "running"] == 1
    assert (found["devices", "busy"], found["tasks_startable",]) == (1, 0)


def test_devices_that_are_lost_differ_from_those_that_ended_in_order(world: World) -> None:
    names = ("well", "lost", "ended", "old")
    workers = {name: world.worker(host=name) for name in names}
    act(world.database, beat_worker, workers["well"].id, Reading(0.75, 2**30))
    act(world.database, stop_worker, workers["ended"].id)
    with world.database.write() as session:
        for name, hours in (("lost", 1), ("old", 30)):
            worker = session.get_one(Worker, workers[name].id)
            worker.seen_at -= timedelta(hours=hours)
            worker.stopped_at = worker.seen_at + timedelta(seconds=31)
    found = told(world)
    counts = {labels[0]: count for labels, count in of(found, "devices").items()}
    assert {state: count for state, count in counts.items() if count} == {"free": 1, "lost": 1, "down": 1}
    states = {(host, state) for _device, host, _kind, state in of(found, "device_state")}
    assert states == {("well", "free"), ("lost", "lost"), ("ended", "down")}
    assert found["device_utilisation_ratio", "cpu", "well"] == 0.75
    assert found["device_memory_used_bytes", "cpu", "well"] == 2**30
    assert set(of(found, "worker_heartbeat_age_seconds")) == {("cpu", "well"), ("cpu", "lost")}


def test_schedulers_and_their_broker(world: World) -> None:
    scheduler = act(world.database, register_scheduler, "here", 1)
    found = told(world)
    assert (found["schedulers_alive",], found["broker_up",]) == (1, 1)
    act(world.database, beat_scheduler, scheduler.id, "it is away")
    assert told(world)["broker_up",] == 0
    with world.database.write() as session:
        session.execute(update(Scheduler).values(seen_at=scheduler.seen_at - timedelta(hours=1)))
    found = told(world)
    assert found["schedulers_alive",] == 0
    assert found["scheduler_heartbeat_age_seconds", "here"] > 3500


def test_counters_models_and_schedules(world: World) -> None:
    worker = world.worker()
    world.train(name="digits")
    world.succeed_training(world.claim(worker), name="digits")
    world.train()
    world.fail(world.claim(worker), FailureReason.OUT_OF_MEMORY, "no room")
    act(world.database, promote, "digits@1", CHAMPION, DEED)
    keeper = Bookkeeper(world.database)
    keeper.count()
    keeper.count()
    found = told(world)
    assert found["totals_complete",] == 1
    assert found["jobs_submitted_total", "train"] == 2
    assert found["jobs_ended_total", "train", "", "succeeded"] == 1
    assert found["jobs_ended_total", "train", "OOM", "failed"] == 1
    assert found["jobs_ended_total", "gate", "OOM", "failed"] == 0, "the first one is seen to be more"
    assert found["attempts_ended_total", "succeeded", "train"] == 1
    assert found["images_written_total", "generate"] == 0
    assert 0 <= found["champion_age_seconds", "digits"] < 600


def test_what_anybody_may_make_has_no_more_values_than_so_many(world: World) -> None:
    with world.database.write() as session:
        session.execute(insert(Queue), [{"name": f"q{number:04}"} for number in range(MOST + 5)])
    rows.add(world.database, queue=f"q{MOST + 1:04}")
    rows.add(world.database, queue=f"q{MOST + 2:04}")
    found = told(world)
    assert len(of(found, "queue_paused")) == MOST
    assert found["tasks", "other", "pending"] == 2
    assert found["queue_oldest_waiting_age_seconds", "other"] >= 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_schema_of_another_version_is_told_and_nothing_more(world: World) -> None:
    with world.database.write() as session:
        session.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    found = told(world)
    assert found["schema_current", "0015", "9999"] == 0
    assert of(found, "tasks_startable") == {}


def test_no_label_names_a_job_a_user_or_a_run() -> None:
    labels = {label for family in FAMILIES for label in family.labels}
    assert labels & {"job", "job_id", "task", "user", "user_name", "run", "attempt", "worker_id", "pid"} == set()


def test_the_page_names_every_metric_and_no_other() -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows_ = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `pixmill_")}
    assert list(rows_) == exposed_names()
    for family, line in zip(FAMILIES, rows_.values(), strict=True):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[1] == ", ".join(f"`{label}`" for label in family.labels), family.name
        assert cells[2] == family.help, family.name


@contextmanager
def exporter(world: World) -> Iterator[Exporter]:
    settings = load_settings(flags={"scheduler.metrics": "0"})
    opened = Exporter(settings)
    opened.start()
    wait_until(lambda: opened.port != 0)
    yield opened
    opened.stop()


def get(port: int, path: str = "/metrics", accept: str = "*/*") -> tuple[int, str, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", path, headers={"Accept": accept})
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read().decode()


def test_it_is_served_in_both_formats_from_one_look(world: World) -> None:
    with exporter(world) as server:
        status, kind, body = get(server.port)
        assert (status, kind.partition(";")[0]) == (200, "text/plain")
        assert "\npixmill_database_up 1.0\n" in body
        rows.add(world.database)  # is not seen: the answer is that of a moment ago
        status, kind, body = get(server.port, accept=OPEN_METRICS)
        assert kind.partition(";")[0] == "application/openmetrics-text"
        assert of(parsed(body), "tasks") == {}
        assert get(server.port, "/")[0] == 404
        with urlopen(Request(f"http://127.0.0.1:{server.port}/metrics", method="HEAD")) as answer:
            assert (answer.status, answer.read()) == (200, b"")


def test_clients_that_say_nothing_keep_nobody_waiting(world: World) -> None:
    with exporter(world) as server:
        idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(2 * MOST_CLIENTS)]
        assert get(server.port)[0] == 200
        for connection in idle:
            connection.close()


def test_a_port_that_is_taken_is_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "RETRY_SECONDS", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        second = Exporter(load_settings(flags={"scheduler.metrics": str(port)}))
        second.start()
        time.sleep(0.05)
        assert second.port == 0
    wait_until(lambda: second.port == port)
    assert get(port)[0] == 200
    second.stop()


def test_schedules_tell_how_their_runs_went_and_what_is_late(world: World) -> None:
    ago = (datetime.now(UTC) - timedelta(hours=30)).isoformat()
    nights = Nights(world.database, ago)
    nights.add("0 * * * *", catchup=Catchup.ALL, overlap=Overlap.QUEUE)
    nights.at += timedelta(hours=2)
    assert nights.look() == 2
    rows.queue(world.database)
    worker = world.worker()
    first = rows.claimed(world.database, worker)
    act(world.database, finish, first, Outcome.SUCCEEDED, publish=rows.nothing)
    found = told(world)
    assert found["schedule_late_seconds", NAME] > 26 * 3600
    assert 27 * 3600 < found["schedule_last_success_age_seconds", NAME] < 31 * 3600
    assert found["schedule_last_run", "running", NAME] == 1
    assert found["schedule_last_run_age_seconds", NAME] < found["schedule_last_success_age_seconds", NAME]
    keeper = Bookkeeper(world.database)
    keeper.count()
    keeper.count()
    assert told(world)["schedule_runs_total", "submitted", NAME] == 2


def test_a_scheduler_serves_what_its_loop_and_its_bookkeeper_see(world: World, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path / "log"

    def asked() -> Told:
        return parsed(get(port, accept=OPEN_METRICS)[2])

    with scheduling(world.settings, log, PIXMILL_SCHEDULER_METRICS=str(port)) as process:
        wait_until(lambda: "metrics are served" in log.read_text(), timeout=60)
        wait_until(lambda: asked().get(("schedulers_alive",)) == 1, timeout=60)
        wait_until(lambda: asked()["totals_complete",] == 1, timeout=60)
        assert asked()["jobs_ended_total", "train", "OOM", "failed"] == 0
        process.terminate()
        assert process.wait(30) == 0, log.read_text()
