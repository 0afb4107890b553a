"""The whole examination: servers first and at once, then what they know, then what lies on the disks.

A server that does not answer keeps nobody waiting for more than a second, and what depends on it is left out.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from cli.context import Workspace
from cli.doctor.findings import Finding, ok, problem
from client.answers import Answer
from pixmill.errors import ConfigError, PixmillError

if TYPE_CHECKING:
    from cli.doctor.servers import DatabaseAnswer
    from client.fleet import Member
    from pixmill.settings import Settings
    from worker.parent.devices import DeviceProbe

UNKNOWN = "scheduler, workers, jobs and files cannot be examined"
ANSWER_SECONDS = 1.0  # the start of the program takes the other one of two


def examine(workspace: Workspace, *, quick: bool, deep: bool) -> Iterator[Finding]:
    """All findings, each as soon as it is made.

    `quick` leaves out what takes long: the files of rows, the walk over runs/ and the device probe. `deep` reads the
    database and all recorded files as a whole.
    """
    try:
        settings = workspace.settings
    except ConfigError as error:
        yield problem("settings", f"{error.message}; nothing else can be examined", error.hint)
        return
    with ExitStack() as stack:
        yield from _Examination(workspace, settings, stack, quick=quick, deep=deep).run()


class _Examination:
    """One examination, and what its parts hand to one another."""

    def __init__(
        self, workspace: Workspace, settings: "Settings", stack: ExitStack, *, quick: bool, deep: bool
    ) -> None:
        self._workspace = workspace
        self._settings = settings
        self._stack = stack
        self._quick = quick
        self._deep = deep
        self._has_silence = False  # somebody did not answer: whatever may take long is left out
        self._answer: DatabaseAnswer | None = None
        self._fleet: list[Member] = []

    def run(self) -> Iterator[Finding]:
        """All findings, in the order in which they are shown."""
        from cli.doctor.configuration import examine_settings
        from cli.doctor.leftovers import examine_leftovers

        yield from examine_settings(self._settings, self._workspace.config, self._workspace.flags)
        _import_drivers()
        deadline = time.monotonic() + ANSWER_SECONDS
        database, broker, disks = self._ask_database(), self._ask_broker(), self._ask_disks()
        bucket = self._ask_bucket()
        yield from self._examine_database(database, deadline)
        yield from self._examine_broker(broker, deadline)
        shown_disks = list(self._examine_disks(disks, deadline))
        probe = None if self._quick or self._has_silence else self._start_probe()
        if self._answer is not None and self._answer.mismatch is None:
            yield from _guarded("database", self._examine_rows())
        yield from shown_disks
        yield from self._examine_bucket(bucket)
        if self._answer is not None and self._answer.mismatch is None and not self._quick and not self._has_silence:
            yield from _guarded("files", self._examine_files())
        yield from _guarded("processes", examine_leftovers(self._settings))
        yield from _guarded("drivers", self._examine_drivers(probe))

    def _ask_database(self) -> Answer | None:
        from cli.doctor.servers import ask_database, missing_file

        if missing_file(self._settings) is not None:
            return None  # to open it would make it
        workspace = self._workspace
        return Answer(lambda: ask_database(workspace.unchecked_database))

    def _ask_broker(self) -> Answer:
        from cli.doctor.servers import ask_broker

        return Answer(partial(ask_broker, self._settings))

    def _ask_disks(self) -> Mapping[Path, Answer]:
        from cli.doctor.disk import measure, places

        return {folder: Answer(partial(measure, folder, name)) for folder, name in places(self._settings).items()}

    def _examine_database(self, asked: Answer | None, deadline: float) -> Iterator[Finding]:
        from cli.doctor.disk import examine_remote
        from cli.doctor.servers import examine_clock, examine_database, examine_integrity

        if asked is None:
            yield problem("database", f"not made yet: {UNKNOWN}", "pixmill up")
            return
        try:
            answer = self._answer = asked.get(deadline)
        except TimeoutError:
            yield self._silence("database", f"no answer within a second: {UNKNOWN}", "pixmill config show --sources")
            return
        except PixmillError as error:
            yield self._silence("database", f"{error.message}; {UNKNOWN}", error.hint)
            return
        yield from examine_database(answer)
        if answer.is_sqlite:
            yield from examine_remote(Path(answer.label))
        if self._deep:
            database = self._workspace.unchecked_database
            yield from _guarded("integrity", (examine_integrity(each) for each in (database,)))
        yield examine_clock(answer)

    def _silence(self, part: str, detail: str, remedy: str | None) -> Finding:
        self._has_silence = True
        return problem(part, detail, remedy)

    def _examine_broker(self, asked: Answer, deadline: float) -> Iterator[Finding]:
        from cli.doctor.servers import examine_broker

        try:
            answer = asked.get(deadline)
        except TimeoutError:
            yield self._silence("broker", "no answer within a second", "pixmill config show --sources")
        except PixmillError as error:
            yield self._silence("broker", error.message, error.hint)
        else:
            yield from examine_broker(answer)

    def _examine_disks(self, asked: Mapping[Path, Answer], deadline: float) -> Iterator[Finding]:
        from cli.doctor.disk import examine_links, examine_place

        root = self._settings.storage_root
        for folder, answer in asked.items():
            try:
                place = answer.get(deadline)
            except TimeoutError:
                remedy = "look whether its file server answers"
                yield self._silence("disk", f"{folder} does not answer within a second", remedy)
            except PixmillError as error:
                yield problem("disk", error.message, error.hint)
            else:
                yield from examine_place(place)
                if folder == root:
                    yield from examine_links(place, root)

    def _ask_bucket(self) -> Answer | None:
        from cli.doctor.bucket import ask_bucket

        storage = self._settings.storage
        return None if storage.outputs is None else Answer(partial(ask_bucket, storage.outputs, storage.endpoint))

    def _examine_bucket(self, asked: Answer | None) -> Iterator[Finding]:
        from cli.doctor.bucket import ANSWER_SECONDS, examine_bucket

        if asked is None:
            return
        try:
            yield from examine_bucket(asked.get(time.monotonic() + ANSWER_SECONDS))
        except TimeoutError:
            detail = f"{self._settings.storage.outputs} does not answer within {ANSWER_SECONDS:g} seconds"
            yield self._silence("bucket", detail, "look at storage.endpoint: pixmill config show --sources")
        except PixmillError as error:
            yield self._silence("bucket", error.message, error.hint)

    def _examine_rows(self) -> Iterator[Finding]:
        """What the tables say: who works, and what does not get on."""
        from cli.doctor.fleet import examine_fleet, examine_schedulers
        from cli.doctor.jobs import examine_jobs
        from cli.doctor.notifications import examine_notifications
        from cli.doctor.schedules import examine_schedules
        from client.fleet import read_fleet
        from db.workers import database_time

        lease = self._settings.scheduler.lease_seconds
        with self._workspace.unchecked_database.read() as session:
            at = database_time(session)
            self._fleet = read_fleet(session, lease)
            yield from examine_schedulers(session, at, lease)
            yield from examine_fleet(self._fleet)
            yield from examine_jobs(session, self._fleet, at)
            yield from examine_schedules(session, at)
            yield from examine_notifications(session, self._settings)

    def _examine_files(self) -> Iterator[Finding]:
        from cli.doctor.garbage import examine_garbage
        from cli.doctor.recorded import RecordedFiles

        database, settings = self._workspace.unchecked_database, self._settings
        endpoint = settings.storage.endpoint
        yield from RecordedFiles(database, settings.storage_root, endpoint, deep=self._deep).examine()
        yield from examine_garbage(database, settings)

    def _start_probe(self) -> "DeviceProbe":
        from worker.parent.devices import DeviceProbe

        return self._stack.enter_context(DeviceProbe("--details"))

    def _examine_drivers(self, probe: "DeviceProbe | None") -> Iterator[Finding]:
        from cli.doctor.drivers import examine_drivers, examine_served

        if probe is None:
            why = "--quick" if self._quick else "something else does not answer"
            yield ok("drivers", f"not examined: {why}")
            return
        facts = probe.answer()
        yield from examine_drivers(facts)
        yield from examine_served(facts, self._fleet)


def _import_drivers() -> None:
    """Load what the parts need, so that the time to answer is theirs alone."""
    for name in ("cli.doctor.fleet", "cli.doctor.servers", "db.diagnosis", "db.schema", "scheduler.broker"):
        import_module(name)


def _guarded(part: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """The findings; an error of one part is a finding too."""
    try:
        yield from findings
    except PixmillError as error:
        yield problem(part, error.message, error.hint)
