"""A chaos run: customers keep a line busy while seeded faults hit it, then it must come to rest with nothing broken.

The seed decides which faults come in which order, after which pauses and with which choices. It cannot decide what a
process is doing at the moment when it is hit: two runs of one seed differ in that.
"""

import heapq
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from db.registry import version_of_job
from pixmill.crashpoints import CrashPoint
from pixmill.errors import PixmillError
from pixmill.specs import GenerateSpec, JobOptions, PingSpec, Spec, TrainSpec
from pixmill.states import State
from scheduler.submit import submit
from tests.faults.bytes import Fingerprint, check_bytes, fingerprints
from tests.faults.checker import Known, check_everything, check_history
from tests.faults.faults import CRASH_POINT, Fault, faults_on
from tests.faults.history import read_history
from tests.faults.load import Load, Order, unfinished_jobs
from tests.faults.plant import Kind, Plant
from tests.faults.rescue import check_rescues
from tests.faults.site import NotNow, Site, Steps
from tests.faults.violation import Invariant, Violation
from tests.waiting import wait_until

FAULTS_A_ROUND = 500  # then the line is brought to rest, checked whole, and replaced
FAULTS_A_SECOND = 7.0  # on average, while a round lasts
LOOK_SECONDS = 5.0  # between two checks of the rows while faults go on
REST_SECONDS = 120.0  # for everything to end once nothing disturbs it
SITE_PATIENCE_SECONDS = 0.3
CRASH_SHARE = 0.4  # of restarts that are armed with a crash point
MODEL = "reference"  # the model that all generate jobs use

_TINY: dict[str, Any] = {"width": 4, "latent_size": 8, "feature_size": 16}
_SMALL: dict[str, Any] = {"width": 8, "discriminator_width": 8, "latent_size": 8}
_DIGITS: dict[str, Any] = {"dataset": "digits", "image_size": 8, "conditional": True}
REFERENCE = TrainSpec(model="vae", images=640, options=_TINY, **_DIGITS)
ORDERS: tuple[Order, ...] = (
    Order("ping", PingSpec(), 5.0),
    Order("vae", TrainSpec(model="vae", images=3_000, seed=1, options=_TINY, **_DIGITS), 2.0),
    Order("sngan", TrainSpec(model="sngan", images=2_000, seed=2, options=_SMALL, **_DIGITS), 2.0),
    Order("few", GenerateSpec(model=f"{MODEL}@1", n=1_500, shard_size=100, seed=3), 4.0),
    Order("many", GenerateSpec(model=f"{MODEL}@1", n=21_000, shard_size=1_000, seed=4), 0.7),
)


@dataclass(frozen=True)
class Report:
    """What a chaos run did and found."""

    database: str
    seed: int
    faults: Mapping[str, int]  # injected, by name
    not_now: int  # picked while there was nothing to hurt
    seconds: float  # under faults
    total_seconds: float
    jobs: Mapping[str, int]  # by kind and state
    attempts: Mapping[str, int]  # by outcome
    deaths: Mapping[str, int]  # of supervised processes, by role and status
    refused: Sequence[str]  # answers to customers that are no outage
    rescues: Sequence[str]  # leases taken from workers left alone; on a machine too slow for its leases these are real
    violations: Sequence[str]
    kept: Sequence[str]  # homes with evidence

    @property
    def is_clean(self) -> bool:
        """Whether every promise was kept."""
        return not self.violations


@dataclass
class _Tally:
    faults: Counter[str] = field(default_factory=Counter)
    not_now: int = 0
    seconds: float = 0.0
    jobs: Counter[str] = field(default_factory=Counter)
    attempts: Counter[str] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    rescues: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    @property
    def injected(self) -> int:
        return sum(self.faults.values())


class Campaign:
    """All rounds of one chaos run."""

    def __init__(
        self,
        kind: Kind,
        *,
        faults: int,
        seed: int,
        workers: int = 3,
        schedulers: int = 2,
        faults_a_round: int = FAULTS_A_ROUND,
        faults_a_second: float = FAULTS_A_SECOND,
        folder: Path | None = None,
        quiet: bool = False,
    ) -> None:
        self._kind = kind
        self._faults = faults
        self._seed = seed
        self._workers = workers
        self._schedulers = schedulers
        self._faults_a_round = faults_a_round
        self._pause = 1.0 / faults_a_second
        self._folder = folder or Path("/tmp")  # short enough for sockets
        self._quiet = quiet
        self._known_bytes: dict[str, Fingerprint] = {}
        self._tally = _Tally()
        self._started = time.monotonic()

    def run(self) -> Report:
        """Run until all faults are injected, or a round has found something broken."""
        number = 0
        while self._tally.injected < self._faults and not self._tally.violations:
            number += 1
            self._run_round(number, min(self._faults_a_round, self._faults - self._tally.injected))
        tally = self._tally
        return Report(
            database=self._kind,
            seed=self._seed,
            faults=dict(tally.faults.most_common()),
            not_now=tally.not_now,
            seconds=round(tally.seconds, 1),
            total_seconds=round(time.monotonic() - self._started, 1),
            jobs=dict(sorted(tally.jobs.items())),
            attempts=dict(sorted(tally.attempts.items())),
            deaths=dict(sorted(tally.deaths.items())),
            refused=tally.refused,
            rescues=tally.rescues,
            violations=tally.violations,
            kept=tally.kept,
        )

    def _run_round(self, number: int, faults: int) -> None:
        folder = Path(tempfile.mkdtemp(prefix="pixmill-", dir=self._folder))
        plant = Plant(folder, self._kind, workers=self._workers, schedulers=self._schedulers)
        try:
            plant.start()
            plant.wait_ready()
            found = self._play(plant, number, faults)
        except BaseException:
            self._tally.kept.append(str(folder))
            plant.heal()
            plant.stop()
            raise
        self._tally.violations += [f"round {number}: {violation}" for violation in found]
        if found:
            self._tally.kept.append(str(folder))
        else:
            shutil.rmtree(folder)

    def _play(self, plant: Plant, number: int, faults: int) -> list[Violation]:
        known = self._undisturbed(plant)
        rng = random.Random(f"{self._seed}-{number}")
        load = Load(plant.database, plant.settings, ORDERS, random.Random(f"{self._seed}-{number}-load"))
        site = Site(plant, load, plant.open_database(SITE_PATIENCE_SECONDS))
        load.start()
        storm = Storm(site, rng, self._kind, self._pause)
        started = time.monotonic()
        found = storm.rage(faults, lambda: self._say(number, storm, load))
        self._tally.seconds += time.monotonic() - started
        load.pause()
        storm.subside()
        load.stop()
        site.calm_down()
        at_rest = self._come_to_rest(plant)
        plant.stop_processes()
        found += plant.violations + at_rest
        submitted = {**load.submitted, **known}
        checked = Known(submitted=submitted, damaged=site.damaged, may_fail=(), may_be_cancelled=site.cancelled)
        found += check_everything(plant.database, plant.settings.storage_root, checked)
        history = read_history(plant.database)
        found += check_bytes(history, self._known_bytes)
        self._tally.rescues += [str(violation) for violation in check_rescues(history, plant.hurt)]
        self._take_in(storm, load, plant, history)
        site.database.dispose()
        plant.stop_servers()
        return found

    def _undisturbed(self, plant: Plant) -> dict[str, int | None]:
        """Train the model that generate jobs use; the first time, also run one of each order to know its bytes."""
        orders: list[tuple[str, Spec]] = [(MODEL, REFERENCE)]
        if not self._known_bytes:
            orders += [(order.name, order.spec) for order in ORDERS]
        submitted: dict[str, int | None] = {}
        for name, spec in orders:
            key = f"undisturbed-{name}"
            submitted[key] = _run_alone(plant, spec, JobOptions(name=name, key=key))
        self._known_bytes = {**fingerprints(read_history(plant.database)), **self._known_bytes}
        return submitted

    def _come_to_rest(self, plant: Plant) -> list[Violation]:
        with suppress(AssertionError):
            wait_until(lambda: not _left(plant), timeout=REST_SECONDS)
        return [
            Violation(Invariant.ENDS, f"job {job_id} is still {state} {REST_SECONDS:g} s after the last fault")
            for job_id, state in (_left(plant) or {}).items()
        ]

    def _take_in(self, storm: "Storm", load: Load, plant: Plant, history: Any) -> None:
        tally = self._tally
        tally.faults += storm.injected
        tally.faults[CRASH_POINT] += len(plant.crashed_at)
        tally.not_now += storm.not_now
        tally.jobs.update(f"{job.kind} {job.state}" for job in history.jobs)
        tally.attempts.update(str(attempt.outcome) for attempt in history.attempts)
        for death, count in plant.deaths.items():
            tally.deaths[f"{death.member} {death.status}"] += count
        tally.refused += load.refused

    def _say(self, number: int, storm: "Storm", load: Load) -> None:
        if self._quiet:
            return
        done = self._tally.injected + sum(storm.injected.values())
        seconds = time.monotonic() - self._started
        text = f"{seconds:6.0f} s  {self._kind}  round {number}  {done}/{self._faults} faults"
        jobs = f"{load.ended} jobs ended, {len(load.unfinished)} open"
        sys.stderr.write(f"\r{text}  {jobs}  {len(storm.open_steps)} at work ")
        sys.stderr.flush()


class Storm:
    """Faults, one after the other and several at a time, until there were enough."""

    def __init__(self, site: Site, rng: random.Random, kind: Kind, pause: float) -> None:
        self._site = site
        self._rng = rng
        self._faults = faults_on(kind)
        self._weights = [fault.weight for fault in self._faults]
        self._pause = pause
        self._number = 0
        self.open_steps: list[tuple[float, int, Fault, Steps]] = []  # by the time of their next step
        self._taken: set[str] = set()
        self.injected: Counter[str] = Counter()
        self.not_now = 0
        crashes = random.Random(rng.random())
        site.plant.next_crash = lambda role: _crash_point(crashes, role)

    def rage(self, faults: int, say: Callable[[], None]) -> list[Violation]:
        """Inject that many; gives what the rows showed to be broken meanwhile."""
        next_at = look_at = time.monotonic()
        while sum(self.injected.values()) < faults:
            at = time.monotonic()
            self._go_on(at)
            if at >= next_at:
                self._inject()
                next_at = max(at, next_at) + self._rng.expovariate(1.0 / self._pause)
            if at >= look_at:
                say()
                look_at = at + LOOK_SECONDS
                found = [*self._look(), *self._site.plant.violations]
                if found:
                    return found
            soonest = min([next_at, *(step[0] for step in self.open_steps[:1])])
            time.sleep(min(0.1, max(0.0, soonest - time.monotonic())))
        return []

    def _look(self) -> list[Violation]:
        """Check the rows, if the database answers."""
        site = self._site
        try:
            history = site.ask(lambda _session: read_history(site.database))
        except NotNow:
            return []
        return check_history(history, Known(submitted=None))

    def _inject(self) -> None:
        """Try faults until one finds something to hurt."""
        for _ in range(20):
            self._number += 1
            fault = self._rng.choices(self._faults, self._weights)[0]
            steps = fault.hurt(self._site, random.Random(f"{self._rng.random()}"))
            if fault.needs in self._taken:
                self.not_now += 1
                continue
            if self._step(fault, steps):
                self.injected[fault.name] += 1
                return

    def _step(self, fault: Fault, steps: Steps) -> bool:
        """Go on with one fault; False when it found nothing to hurt."""
        try:
            seconds = next(steps)
        except StopIteration:
            self._taken.discard(str(fault.needs))
            return True
        except NotNow:
            self._taken.discard(str(fault.needs))
            self.not_now += 1
            return False
        if fault.needs:
            self._taken.add(fault.needs)
        self._number += 1
        heapq.heappush(self.open_steps, (time.monotonic() + seconds, self._number, fault, steps))
        return True

    def _go_on(self, at: float) -> None:
        while self.open_steps and self.open_steps[0][0] <= at:
            _at, _number, fault, steps = heapq.heappop(self.open_steps)
            if not self._step(fault, steps):
                self.injected[fault.name] -= 1

    def subside(self) -> None:
        """Let every fault heal what it has hurt; arm no more crash points."""
        self._site.plant.next_crash = lambda _role: None
        while self.open_steps:
            time.sleep(max(0.0, self.open_steps[0][0] - time.monotonic()))
            self._go_on(time.monotonic())
        self._site.plant.heal()


def _crash_point(rng: random.Random, role: str) -> str | None:
    if rng.random() >= CRASH_SHARE:
        return None
    own = {"scheduler": ("scheduler.",), "worker": ("worker.", "device.", "file.")}[role]
    points = [point.value for point in CrashPoint if point.value.startswith(own)]
    return f"{rng.choice(points)}:{rng.choice((1, 1, 2, 3, 5))}"


def _run_alone(plant: Plant, spec: Spec, options: JobOptions) -> int:
    job_id = submit(plant.database, plant.settings, spec, options, user="nobody").job_id
    try:
        wait_until(lambda: not _left(plant), timeout=REST_SECONDS)
    except AssertionError as error:
        logs = "\n".join(member.log_text()[-1000:] for member in plant.members)
        raise AssertionError(
            f"job {job_id} ({options.name}) does not end although nothing disturbs it\n{logs}"
        ) from error
    with plant.database.read() as session:
        assert spec.kind != "train" or version_of_job(session, job_id) is not None, f"job {job_id} made no model"
    return job_id


def _left(plant: Plant) -> dict[int, State] | None:
    """What has not ended; None while the database does not answer."""
    try:
        return unfinished_jobs(plant.database)
    except PixmillError:
        return {}
