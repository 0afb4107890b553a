"""A generate job of very many images on a real line: its rate, and what grows with the number of images.

    python -m benchmarks.bulk [--images 1000000] [--image-size 28] [--channels 1] [--plot FILE.png] [--json FILE]

One worker on all cores makes images by a network whose speed alone matters, through scheduler, hands, shards and
assembly; then the command line verifies every image. Another worker has trained the network. Each second the resident
memory of the worker, its device process, the hands and the verification is read and drawn; pages that several share
count in each. Proportional memory, where each of n that share a page counts an n-th of it, adds up: it is what the
worker with all its processes takes from the machine.
"""

import argparse
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Literal

import psutil
from PIL import Image, ImageDraw
from sqlalchemy import text

from benchmarks.machine import store
from benchmarks.reliability_site import REPOSITORY, Site, children_of, site
from pixmill.interpreter import python_command
from pixmill.specs import GenerateSpec, TrainSpec

SAMPLE_SECONDS = 1.0
JOB_SECONDS = 24 * 3600.0
PLOT_WIDTH, PLOT_HEIGHT, MARGIN = 960, 360, 60  # pixels
COLOURS = {"worker": "#1b6ca8", "device": "#c8553d", "hands": "#3d8b54", "verify": "#7a5195"}

Parts = Callable[[], Mapping[str, Sequence[psutil.Process]]]


@dataclass(frozen=True)
class Sample:
    """Resident memory at one moment, by part."""

    seconds: float
    megabytes: Mapping[str, float]
    proportional: float  # of all parts together


@dataclass(frozen=True)
class Growth:
    """The memory of one part, megabytes: medians of the first and the last quarter of its time, and the most."""

    early: float
    late: float
    most: float


@dataclass(frozen=True)
class Bulk:
    """What the job and its verification cost."""

    images: int
    seconds: float
    images_per_second: float
    database_bytes_before: int
    database_bytes_after: int
    verify_seconds: float
    memory: Mapping[str, Growth]
    proportional: Growth  # of the worker with all its processes
    samples: Sequence[Sample]


class Meter:
    """Reads the memory of processes each second."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self._began = time.monotonic()

    @contextmanager
    def watching(self, parts: Parts) -> Iterator[None]:
        """Read within the block."""
        done = threading.Event()
        thread = threading.Thread(target=self._watch, args=(parts, done))
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _watch(self, parts: Parts, done: threading.Event) -> None:
        while not done.wait(SAMPLE_SECONDS):
            now = parts()
            found = {name: sum(map(_megabytes, processes)) for name, processes in now.items()}
            shared = sum(_proportional(process) for processes in now.values() for process in processes)
            self.samples.append(Sample(round(time.monotonic() - self._began, 1), found, shared))

    def growth(self) -> dict[str, Growth]:
        """Of each part, while it was there."""
        names = dict.fromkeys(name for sample in self.samples for name in sample.megabytes)
        series = {name: [sample.megabytes.get(name, 0.0) for sample in self.samples] for name in names}
        return {name: _growth([value for value in values if value]) for name, values in series.items() if any(values)}


def _megabytes(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        return float(process.memory_info().rss) / 1e6
    return 0.0


def _proportional(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        return float(process.memory_full_info().pss) / 1e6
    return 0.0


def _growth(values: Sequence[float]) -> Growth:
    quarter = max(1, len(values) // 4)
    early, late = median(values[:quarter]), median(values[-quarter:])
    return Growth(round(early, 1), round(late, 1), round(max(values), 1))


def measure(here: Site, images: int, image_size: int, channels: Literal[1, 3]) -> Bulk:
    """Train a little, generate, verify."""
    spec = TrainSpec(model="dcgan", dataset="digits", image_size=image_size, channels=channels, images=64)
    here.run(spec, name="bulk")
    (trainer,) = here.workers.values()
    trainer.terminate()
    trainer.wait()
    here.start_workers(1)
    meter, before, began = Meter(), _database_bytes(here), time.monotonic()
    with meter.watching(lambda: _line_parts(here)):
        job = here.submit(GenerateSpec(model="bulk", n=images, seed=1))
        ended = here.wait(lambda: here.job(job).state.is_terminal, seconds=JOB_SECONDS)
    assert here.job(job).state.value == "succeeded", here.job(job).message
    proportional = _growth([sample.proportional for sample in meter.samples])
    verify_seconds = _verify(here, job, meter)
    return Bulk(
        images=images,
        seconds=round(ended - began, 1),
        images_per_second=round(images / (ended - began)),
        database_bytes_before=before,
        database_bytes_after=_database_bytes(here),
        verify_seconds=round(verify_seconds, 1),
        memory=meter.growth(),
        proportional=proportional,
        samples=meter.samples,
    )


def _line_parts(here: Site) -> dict[str, list[psutil.Process]]:
    (worker,) = here.workers.values()
    devices = children_of(worker)
    hands: list[psutil.Process] = []
    for device in devices:
        with suppress(psutil.NoSuchProcess):
            hands += device.children()
    return {"worker": [psutil.Process(worker.pid)], "device": devices, "hands": hands}


def _verify(here: Site, job: int, meter: Meter) -> float:
    """Seconds that `output verify` takes in a process of its own."""
    own = {"PIXMILL_HOME": str(here.home), "PIXMILL_DATABASE_URL": here.settings.database_url}
    began = time.monotonic()
    words = python_command("-m", "cli", "output", "verify", str(job))
    process = subprocess.Popen(words, cwd=REPOSITORY, env={**os.environ, **own}, stdout=subprocess.DEVNULL)
    watched = psutil.Process(process.pid)
    with meter.watching(lambda: {"verify": [watched]}):
        code = process.wait()
    assert code == 0, f"output verify: exit code {code}"
    return time.monotonic() - began


def _database_bytes(here: Site) -> int:
    with here.database.read() as session:
        pages = text("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
        return int(session.scalar(pages) or 0)


def draw(found: Bulk, images: str, path: Path) -> None:
    """The memory of all parts over time, as a PNG."""
    picture = Image.new("RGB", (PLOT_WIDTH, PLOT_HEIGHT), "white")
    pen = ImageDraw.Draw(picture)
    width, height = PLOT_WIDTH - 2 * MARGIN, PLOT_HEIGHT - 2 * MARGIN
    last = max(found.samples[-1].seconds, 1.0)
    top = max(growth.most for growth in found.memory.values()) * 1.1
    pen.rectangle((MARGIN, MARGIN, MARGIN + width, MARGIN + height), outline="#999999")
    pen.text((4, MARGIN - 6), f"{top:.0f} MB", fill="black")
    pen.text((MARGIN + width - 20, MARGIN + height + 8), f"{last:.0f} s", fill="black")
    pen.text((MARGIN, 8), f"resident memory, {found.images:,} {images}", fill="black")
    for number, name in enumerate(found.memory):
        line = [
            (MARGIN + width * sample.seconds / last, MARGIN + height * (1 - sample.megabytes[name] / top))
            for sample in found.samples
            if sample.megabytes.get(name)
        ]
        pen.line(line, fill=COLOURS[name], width=2)
        pen.text((MARGIN + 120 * number, 28), name, fill=COLOURS[name])
    picture.save(path)


def main() -> None:
    """Measure, print a table, draw, and write the JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.bulk", description="a generate job of very many images")
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--image-size", type=int, default=28)
    parser.add_argument("--channels", type=int, choices=(1, 3), default=1)
    parser.add_argument("--plot", type=Path, default=Path("benchmarks/results/bulk.png"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with site("sqlite", workers=1, schedulers=1) as here:
        found = measure(here, arguments.images, arguments.image_size, arguments.channels)
    grown = (found.database_bytes_after - found.database_bytes_before) / found.images
    print(f"{found.images:,} images in {found.seconds:,} s: {found.images_per_second:,} images/s")
    print(f"database {found.database_bytes_after:,} B, {grown:.3f} B an image; verified in {found.verify_seconds:,} s")
    print(f"{'MB':10}{'early':>10}{'late':>10}{'most':>10}")
    for name, growth in found.memory.items():
        print(f"{name:10}{growth.early:>10,.1f}{growth.late:>10,.1f}{growth.most:>10,.1f}")
    print(f"proportional, all together: {found.proportional.late:,.1f} MB, at most {found.proportional.most:,.1f}")
    size, colour = arguments.image_size, "gray" if arguments.channels == 1 else "RGB"
    draw(found, f"images of {size}x{size} {colour}", arguments.plot)
    store(arguments, ("images", "image_size", "channels"), asdict(found))


if __name__ == "__main__":
    main()
