"""The worker parent: a Celery worker that receives wake-ups and owns one device process. Never imports torch."""

import logging
import os
import signal
import socket
import threading
import time
from typing import Any

from celery import Celery, signals
from celery.apps import worker as celery_worker
from celery.apps.worker import Worker as CeleryWorker
from celery.worker import WorkController

from db.engine import Database, open_database
from db.schema import require_current_schema
from db.tables.fleet import DeviceKind, Worker
from db.workers import DeviceFacts, note_canary_heard, register_worker, stop_worker
from pixmill.errors import BrokerUnreachable, CorruptRow, DatabaseUnreachable, Unavailable
from pixmill.logs import name_process
from pixmill.settings import Settings
from scheduler import spans
from scheduler.broker import Poker
from scheduler.connecting import require_welcome
from scheduler.messages import make_celery
from scheduler.names import HEAR_CANARY, RUN_TASK, canary_queue, celery_queue
from worker.device.slots import parse_slot
from worker.parent.device_process import DeviceProcess, DeviceProcessRefused, lock_paths
from worker.parent.devices import choose_device, encoders_of, threads_of
from worker.parent.heart import Heart
from worker.parent.pool import PromptPool
from worker.parent.runner import Runner

log = logging.getLogger(__name__)

BETWEEN_POKES = 0.1  # seconds
CELERY_SECONDS = 3.0  # in which an idle Celery worker ends that was told to


def run_worker(settings: Settings, device: str) -> None:
    """Work for one device, or several as one, until SIGTERM, SIGINT or SIGHUP.

    A running task is stopped at a checkpoint then, and given back.
    `device` is "cpu", "cuda:N", "cuda:0-3" or "auto": the first GPU, else the CPU. Raises UserError,
    DeviceProcessRefused or Unavailable for a device that cannot be had, SchemaMismatch, DatabaseUnreachable,
    BrokerRefuses.
    """
    require_welcome(settings)
    database = open_database(settings)
    require_current_schema(database)
    threads = threads_of(settings)
    device = choose_device(device)
    locks = lock_paths(settings.run_folder, device)
    process = DeviceProcess(device, threads, *locks, encoders=encoders_of(settings, device))
    facts = _facts(process.wait_ready())
    worker = database.transact(lambda session: _registered(session, facts))
    runner = Runner(database, settings, worker, process)
    heart = Heart(database, settings, worker, runner, facts.name)
    teller = _Teller(settings)
    name_process(worker=worker.name, device=facts.name)
    log.info("worker started", extra={"worker": worker.name, "model": facts.model, "threads": threads})
    try:
        heart.start()
        teller.tell()
        _consume(settings, facts, runner, heart, database, worker, teller)
    finally:
        heart.stop()
        runner.close()
        _say_goodbye(database, worker)
        spans.flush()


def _facts(hello: dict[str, Any]) -> DeviceFacts:
    return DeviceFacts(
        host=socket.gethostname(),
        name=hello["device"],
        kind=DeviceKind(hello["kind"]),
        model=hello["model"],
        memory_bytes=hello["memory_bytes"],
        width=len(parse_slot(hello["device"])[1]),
    )


def _registered(session: Any, facts: DeviceFacts) -> Worker:
    worker = register_worker(session, facts, os.getpid())
    session.refresh(worker)
    _ = worker.device.kind  # loaded now: the row is used after its session
    return worker


def _consume(
    settings: Settings,
    facts: DeviceFacts,
    runner: Runner,
    heart: Heart,
    database: Database,
    worker: Worker,
    teller: "_Teller",
) -> None:
    """Receive wake-ups until Celery is told to stop."""
    app = make_celery(settings)
    _register_task(app, runner, teller)
    _register_canary(app, database, worker.id)
    told = threading.Event()
    threading.Thread(target=_leave, args=(told, runner, database, worker), name="leave", daemon=True).start()

    # Celery waits for the running task when it is told to stop; the task is told here.
    def stop(**_details: Any) -> None:
        log.info("stopping", extra={"worker": worker.name})
        runner.stop()
        heart.drain()
        told.set()

    signals.worker_shutting_down.connect(stop, weak=False)
    signals.setup_logging.connect(_keep_logging, weak=False)
    PlainWorker(
        app=app,
        pool=PromptPool,
        concurrency=1,
        queues=[celery_queue(facts.kind, facts.width), canary_queue(worker.id)],
        hostname=f"{facts.name}@{facts.host}",
        without_mingle=True,
        without_gossip=True,
        without_heartbeat=True,
        quiet=True,
        loglevel="WARNING",
    ).start()


class PlainWorker(CeleryWorker):
    """A Celery worker that ends when its terminal goes; Celery's would start itself anew, out of sight."""

    def install_platform_tweaks(self, worker: WorkController) -> None:
        """Install Celery's signal handlers, but for that one."""
        celery_worker.safe_say = _say_nothing  # type: ignore[attr-defined]  # its stubs leave it out
        is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # by nohup
        super().install_platform_tweaks(worker)
        signal.signal(signal.SIGHUP, signal.SIG_IGN if is_ignored else signal.getsignal(signal.SIGTERM))


def _say_nothing(*_words: Any) -> None:
    """What Celery's signal handlers write past all logging: `stopping` says it, as a line of the log."""


def _leave(told: threading.Event, runner: Runner, database: Database, worker: Worker) -> None:
    """End this process once it was told to stop and its task is given back, even if Celery cannot.

    With Redis away Celery waits for a connection, and looks for nothing else meanwhile.
    """
    told.wait()
    since = time.monotonic()
    while min(runner.idle_seconds, time.monotonic() - since) < CELERY_SECONDS:
        time.sleep(0.1)
    log.warning("ending without Celery, which does not end by itself", extra={"worker": worker.name})
    runner.close()
    _say_goodbye(database, worker)
    os._exit(0)


def _register_task(app: Celery, runner: Runner, teller: "_Teller") -> None:
    def run(task_id: int, dispatch_seq: int) -> None:
        try:
            runner.run_all((int(task_id), int(dispatch_seq)), after_each=teller.tell)
        except DatabaseUnreachable as error:
            log.warning("wake-up dropped; it is sent again", extra={"task": task_id, "reason": error.message})
        except CorruptRow as error:
            log.error("wake-up dropped; it is sent again", extra={"task": task_id, "reason": error.message})
        except (DeviceProcessRefused, Unavailable) as error:
            log.error("the device cannot be had", extra={"task": task_id, "reason": error.message})

    app.task(name=RUN_TASK)(run)


def _register_canary(app: Celery, database: Database, worker_id: int) -> None:
    def hear(number: int) -> None:
        try:
            database.transact(lambda session: note_canary_heard(session, worker_id, int(number)))
        except DatabaseUnreachable as error:
            log.warning("the database is away", extra={"reason": error.message})  # the next canary counts as well

    app.task(name=HEAR_CANARY)(hear)


def _keep_logging(**_details: Any) -> None:
    """Celery leaves logging alone when something is connected to this signal."""
    logging.getLogger("celery").setLevel(logging.WARNING)  # a line for each wake-up says nothing that ours do not


class _Teller:
    """Tells the scheduler that this worker is free, or has ended a task that others may have waited for."""

    def __init__(self, settings: Settings) -> None:
        self._poker = Poker(settings)
        self._told_at = 0.0

    def tell(self) -> None:
        """Poke the scheduler, but not for every one of many short tasks."""
        if time.monotonic() - self._told_at < BETWEEN_POKES:
            return
        try:
            self._poker.poke()
        except BrokerUnreachable as error:
            log.warning("the scheduler is not told", extra={"reason": error.message})
        self._told_at = time.monotonic()


def _say_goodbye(database: Database, worker: Worker) -> None:
    try:
        database.transact(lambda session: stop_worker(session, worker.id))
    except DatabaseUnreachable as error:
        log.warning("the database is away", extra={"reason": error.message})
    log.info("worker stopped", extra={"worker": worker.name})
