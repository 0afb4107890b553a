"""The dashboard under load: many pages a second, and what a job loses by it.

    python -m benchmarks.server [--seconds 60] [--rate 200] [--rounds 2] [--json FILE]

A real line (scheduler, worker, SQLite) trains a VAE on the CPU, with all of its cores. Stretches of `--seconds`
alternate: the job alone, and the job while `--rate` pages a second are asked of `pixmill server` over loopback, in an
even beat, answered or not, on eight connections: the overview, the list of jobs, the running job, devices, and images.
The speed of the job is told by its own progress; `speed` is that under load over the mean of the stretches before and
after. Whoever asks has the low priority of the dashboard, and takes of the job's cores as well.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import cycle
from pathlib import Path
from statistics import mean

from benchmarks.machine import store
from benchmarks.reliability_site import Site, site
from pixmill.specs import GenerateSpec, TrainSpec

CONNECTIONS = 8
NICE = 5
LOOK_SECONDS = 0.1  # between two looks at the progress of the job
WARM_SECONDS = 10.0  # before the first stretch
IMAGES = 50_000_000  # of the job that runs: more than it will see


@dataclass
class Answers:
    """What was asked, and what came of it."""

    statuses: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """Of the milliseconds from the beat on which a page was to be asked until it was there."""
        ordered = sorted(self.milliseconds) or [0.0]
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)


@dataclass(frozen=True)
class Result:
    """Images a second of the job, alone and beside the load, and the answers of the dashboard."""

    alone: list[float]
    loaded: list[float]
    speed: float  # the worst stretch
    asked: int
    failed: int
    p50_ms: float
    p99_ms: float
    longest_ms: float


class Asker:
    """Asks for pages in an even beat."""

    def __init__(self, port: int, paths: list[str], rate: float) -> None:
        self._port, self._paths, self._rate = port, paths, rate
        self.answers = Answers()

    async def ask(self, seconds: float) -> None:
        """Ask for so many seconds."""
        beats: asyncio.Queue[tuple[float, str] | None] = asyncio.Queue()
        asking = [asyncio.ensure_future(self._connection(beats)) for _ in range(CONNECTIONS)]
        began, loop = time.monotonic(), asyncio.get_running_loop()
        for number, path in zip(range(int(seconds * self._rate)), cycle(self._paths), strict=False):
            due = began + number / self._rate
            if due > time.monotonic():
                await asyncio.sleep(due - time.monotonic())
            beats.put_nowait((loop.time(), path))
        for _ in asking:
            beats.put_nowait(None)
        await asyncio.gather(*asking)

    async def _connection(self, beats: "asyncio.Queue[tuple[float, str] | None]") -> None:
        streams = None
        while (beat := await beats.get()) is not None:
            due, path = beat
            try:
                streams = streams or await asyncio.open_connection("127.0.0.1", self._port)
                status = await self._exchange(*streams, path)
                self.answers.statuses[status] += 1
            except (OSError, ValueError, EOFError) as error:
                self.answers.errors[type(error).__name__] += 1
                streams = None
            self.answers.milliseconds.append(1000 * (asyncio.get_running_loop().time() - due))
        if streams is not None:
            streams[1].close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> int:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        length = next(int(line[15:]) for line in lines if line.lower().startswith("content-length:"))
        await reader.readexactly(length)
        return int(lines[0].split()[1])


@contextmanager
def dashboard(here: Site) -> Iterator[int]:
    """A dashboard in a process of its own, as `pixmill server` starts it; gives its port."""
    settings = here.settings
    variables = {"PIXMILL_DATABASE_URL": settings.database_url, "PIXMILL_BROKER_URL": settings.broker_url}
    line = [sys.executable, "-m", "cli", "--home", str(here.home), "server", "--port", "0"]
    environment = {**os.environ, **variables, "PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline().strip().rstrip("/").rpartition(":")[2])
        finally:
            process.terminate()


def speed_of(here: Site, job: int, seconds: float) -> float:
    """Images a second that the job tells of in so many seconds, from one report of it to another."""
    first = _next_report(here, job)
    while time.monotonic() - first[0] < seconds:
        last = _next_report(here, job)
    return (last[1] - first[1]) / (last[0] - first[0])


def _next_report(here: Site, job: int) -> tuple[float, int]:
    before = here.task(job).progress_done
    while (done := here.task(job).progress_done) == before:
        assert here.job(job).state.value == "running", here.job(job).message
        time.sleep(LOOK_SECONDS)
    return time.monotonic(), done


def loaded_speed(here: Site, job: int, seconds: float, asker: Asker) -> float:
    """The same while the dashboard is asked."""
    asking = threading.Thread(target=_ask, args=(asker, seconds))
    asking.start()
    speed = speed_of(here, job, seconds)
    asking.join()
    return speed


def _ask(asker: Asker, seconds: float) -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)  # Linux gives each thread a priority of its own
    asyncio.run(asker.ask(seconds))


def measure(here: Site, seconds: float, rate: float, rounds: int) -> Result:
    """Stretches of the job alone and beside the load, in turns."""
    here.run(TrainSpec(model="vae", dataset="digits", image_size=16, images=2000), name="digits")
    made = here.run(GenerateSpec(model="digits", n=500))
    job = here.submit(TrainSpec(model="vae", dataset="digits", image_size=16, images=IMAGES), name="running")
    here.wait(lambda: here.task(job).progress_done > 0)
    paths = ["/", "/jobs", f"/jobs/{job}", "/devices", *(f"/outputs/{made}/images/{index}" for index in range(2))]
    with dashboard(here) as port:
        asker = Asker(port, paths, rate)
        time.sleep(WARM_SECONDS)
        alone, loaded = [speed_of(here, job, seconds)], []
        for _ in range(rounds):
            loaded.append(loaded_speed(here, job, seconds, asker))
            alone.append(speed_of(here, job, seconds))
    shares = [speed / mean(alone[place : place + 2]) for place, speed in enumerate(loaded)]
    return _result(alone, loaded, shares, asker.answers)


def _result(alone: list[float], loaded: list[float], shares: list[float], answers: Answers) -> Result:
    good = answers.statuses[200]
    return Result(
        alone=[round(speed, 1) for speed in alone],
        loaded=[round(speed, 1) for speed in loaded],
        speed=round(min(shares), 3),
        asked=len(answers.milliseconds),
        failed=len(answers.milliseconds) - good,
        p50_ms=answers.percentile(0.5),
        p99_ms=answers.percentile(0.99),
        longest_ms=answers.percentile(1.0),
    )


def main() -> None:
    """Print the speeds and the answers, and write the JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.server", description="the dashboard beside a job")
    parser.add_argument("--seconds", type=float, default=60.0, help="of a stretch")
    parser.add_argument("--rate", type=float, default=200.0, help="pages a second")
    parser.add_argument("--rounds", type=int, default=2, help="stretches under load")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with site("sqlite", workers=1, schedulers=1) as here:
        found = measure(here, arguments.seconds, arguments.rate, arguments.rounds)
    print(f"images/s alone: {found.alone}, under load: {found.loaded}; speed {found.speed:.1%}")
    print(f"{found.asked:,} pages asked for, {found.failed:,} failed; p50 {found.p50_ms} ms, p99 {found.p99_ms} ms")
    print(f"the longest took {found.longest_ms} ms")
    store(arguments, ("seconds", "rate", "rounds"), asdict(found))


if __name__ == "__main__":
    main()
