"""Images a second from submit to finished data set, beside the network alone and the script that a user would write.

    python -m benchmarks.e2e [--seconds 20] [--cases N] [--json FILE]

Three rates in turns, so that what disturbs the machine disturbs all: the forward pass alone on all cores
(`benchmarks.forward`); a generate job of a real line (scheduler, worker, SQLite, hashes, manifest, lossless PNG); and
the script: batches of 64 in one process with torch's own threads, Pillow's PNG, a file and a row of an ORM for each
image, committed one by one. `/forward` and `× script` are medians of the ratios within each round. A job before the
rounds lets the hands of the device process start; jobs of a night do not feel those seconds.
"""

import argparse
import os
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from PIL import Image
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from benchmarks.forward import CASES, ROUNDS, Case, rate
from benchmarks.machine import store
from benchmarks.reliability_site import Site, site
from db.registry import version_of_job
from imagemodels.export import load_model
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator
from pixmill.specs import GenerateSpec, TrainSpec

SCRIPT_BATCH = 64
LOOK_SECONDS = 0.25  # between two looks at a job; more of them would take from its cores
TRAINED_IMAGES = 64  # of a model whose speed alone matters


class Base(DeclarativeBase):
    """The script's tables."""


class Row(Base):
    """The script's one row an image."""

    __tablename__ = "images"

    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[str]
    seed: Mapped[int]


@dataclass(frozen=True)
class EndToEnd:
    """Images a second, medians of the rounds."""

    case: str
    forward: float
    pixmill: float
    script: float
    of_forward: float
    times_script: float
    images: int  # of a round's job


def script_rate(model: Path, seconds: float, threads: int) -> float:
    """What a user would write, for about so many seconds."""
    torch.set_num_threads(threads)
    loaded = load_model(model, Runtime())
    assert isinstance(loaded, Generator)
    network = loaded.network
    with TemporaryDirectory() as name:
        folder = Path(name)
        engine = create_engine(f"sqlite:///{folder / 'images.db'}")
        Base.metadata.create_all(engine)
        began, count = time.monotonic(), 0
        with Session(engine) as session, torch.no_grad():
            while time.monotonic() - began < seconds:
                pixels = network(torch.randn(SCRIPT_BATCH, network.spec.latent_size), None)
                for image in ((pixels + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy():
                    path = folder / f"{count:09d}.png"
                    Image.fromarray(image if image.shape[2] == 3 else image[:, :, 0]).save(path)
                    session.add(Row(path=str(path), seed=0))
                    session.commit()
                    count += 1
        seconds = time.monotonic() - began
        engine.dispose()
    return count / seconds


def train(here: Site, case: Case) -> Path:
    """A model of the case in the line's registry, barely trained; its folder."""
    spec = TrainSpec(
        model=case.preset, dataset="digits", image_size=case.side, channels=case.channels, images=TRAINED_IMAGES
    )
    job = here.run(spec, name=_name(case))
    with here.database.read() as session:
        version = version_of_job(session, job)
        assert version is not None
        return here.settings.storage_root / version.folder


def job_rate(here: Site, case: Case, images: int) -> float:
    """A generate job of so many images, from its submit until its row says that it has ended."""
    spec = GenerateSpec(model=_name(case), n=images, precision=case.precision, seed=1)
    began = time.monotonic()
    job = here.submit(spec)
    ended = here.wait(lambda: here.job(job).state.is_terminal, seconds=600.0, pause=LOOK_SECONDS)
    assert here.job(job).state.value == "succeeded", here.job(job).message
    shutil.rmtree(here.settings.storage_root / "outputs" / str(job), ignore_errors=True)
    return images / (ended - began)


def _name(case: Case) -> str:
    return f"{case.preset}-{case.side}"


def measure(here: Site, case: Case, seconds: float) -> EndToEnd:
    """Forward pass, job and script, in turns."""
    model, cores = train(here, case), len(os.sched_getaffinity(0))
    first = rate(model, case.precision, cores, seconds / 4)
    images = int(first * seconds)
    job_rate(here, case, images)
    rounds = []
    for _ in range(ROUNDS):
        job = job_rate(here, case, images)  # before the hands have waited for too long
        rounds.append((rate(model, case.precision, cores, seconds / 4), job, script_rate(model, seconds / 4, cores)))
    forward, jobs, scripts = (round(median(column)) for column in zip(*rounds, strict=True))
    of_forward = round(median(job / alone for alone, job, _script in rounds), 3)
    times_script = round(median(job / script for _alone, job, script in rounds), 2)
    return EndToEnd(str(case), forward, jobs, scripts, of_forward, times_script, images)


def main() -> None:
    """Print one line a case, and write the JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.e2e", description="images a second from submit to data set")
    parser.add_argument("--seconds", type=float, default=20.0, help="of a round's job, about")
    parser.add_argument("--cases", type=int, default=len(CASES), help="the first so many")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = []
    print(f"{'images/s':20}{'forward':>9}{'pixmill':>9}{'script':>8}{'/forward':>10}{'× script':>10}{'images':>9}")
    with site("sqlite", workers=1, schedulers=1) as here:
        for case in CASES[: arguments.cases]:
            last = measure(here, case, arguments.seconds)
            found.append(last)
            rates = f"{last.forward:>9,}{last.pixmill:>9,}{last.script:>8,}"
            print(f"{last.case:20}{rates}{last.of_forward:>10}{last.times_script:>10}{last.images:>9,}", flush=True)
    store(arguments, ("seconds",), [asdict(one) for one in found])


if __name__ == "__main__":
    main()
