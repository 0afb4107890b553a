"""How fast the network alone makes images: one process a core, each of one thread, nothing encoded and nothing written.

    python -m benchmarks.forward [--seconds 5] [--json FILE]

The rate is that of `Generator.sample`: latents, forward pass, uint8. `scaling` is the rate of all cores over that of
one, in the same run; where others want the cores too, it says little.
"""

import argparse
import multiprocessing
import os
import time
from dataclasses import asdict, dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import torch

from benchmarks.machine import store
from imagemodels.card import Metadata
from imagemodels.export import load_model, save_model
from imagemodels.networks.architectures import new_decoder
from imagemodels.options import DecoderOptions
from imagemodels.presets import PRESETS
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator
from imagemodels.training.config import TrainConfig
from imagemodels.training.task import decoder_spec

BATCH_IMAGES = 128
ROUNDS = 3


@dataclass(frozen=True)
class Case:
    """A generator of one size in one precision."""

    side: int  # pixels
    channels: Literal[1, 3]
    precision: Literal["fp32", "bf16"]
    preset: str = "dcgan"

    def __str__(self) -> str:
        return f"{self.side}×{self.side} {'RGB' if self.channels == 3 else 'gray'} {self.precision}"


CASES = (Case(64, 3, "bf16"), Case(64, 3, "fp32"), Case(28, 1, "fp32"), Case(128, 3, "bf16"))


@dataclass(frozen=True)
class Rates:
    """Images a second, medians of the rounds."""

    case: str
    one_core: float
    all_cores: float
    cores: int
    scaling: float


def write_generator(case: Case, folder: Path) -> Path:
    """Write a generator of the preset's default size with random weights."""
    config = TrainConfig(preset=case.preset, image_size=case.side, channels=case.channels, images=1)
    torch.manual_seed(0)
    options = PRESETS[case.preset].options
    assert isinstance(options, DecoderOptions)
    generator = Generator(new_decoder(decoder_spec(config, options)), Runtime(threads=1))
    path = folder / str(case).replace(" ", "-")
    save_model(path, generator, Metadata(preset=case.preset, images_seen=0, seed=0))
    return path


def rate(folder: Path, precision: str, processes: int, seconds: float) -> float:
    """Images a second that so many processes make together."""
    context = multiprocessing.get_context("spawn")
    barrier, made = context.Barrier(processes), context.Queue()
    workers = [
        context.Process(target=_sample, args=(folder, precision, seconds, barrier, made)) for _ in range(processes)
    ]
    for worker in workers:
        worker.start()
    total: float = sum(made.get() for _ in workers)
    for worker in workers:
        worker.join()
    return total


def _sample(
    folder: Path, precision: str, seconds: float, barrier: Barrier, made: "multiprocessing.Queue[float]"
) -> None:
    torch.set_num_threads(1)
    generator = load_model(folder, Runtime(precision=precision, threads=1))
    assert isinstance(generator, Generator)
    numbers = np.arange(BATCH_IMAGES)
    generator.sample(0, numbers)
    barrier.wait()
    began, count = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        generator.sample(0, numbers + count)
        count += BATCH_IMAGES
    made.put(count / (time.monotonic() - began))


def measure(case: Case, seconds: float) -> Rates:
    """One core and all cores, in turns."""
    cores = len(os.sched_getaffinity(0))
    with TemporaryDirectory() as folder:
        path = write_generator(case, Path(folder))
        rounds = [
            (rate(path, case.precision, 1, seconds), rate(path, case.precision, cores, seconds)) for _ in range(ROUNDS)
        ]
    ones, alls = zip(*rounds, strict=True)
    scaling = median(every / one for one, every in rounds)
    return Rates(str(case), round(median(ones)), round(median(alls)), cores, round(scaling, 2))


def main() -> None:
    """Print one line a case, and write the JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.forward", description="how fast the network alone makes images")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each round")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = []
    print(f"{'':20}{'one core':>10}{'all cores':>11}{'scaling':>9}")
    for case in CASES:
        found.append(measure(case, arguments.seconds))
        last = found[-1]
        print(f"{last.case:20}{last.one_core:>10,}{last.all_cores:>11,}{last.scaling:>9}", flush=True)
    store(arguments, ("seconds",), [asdict(rates) for rates in found])


if __name__ == "__main__":
    main()
