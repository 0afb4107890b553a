"""Whether networks that torch compiles train faster than as they are, and after how many images that has paid.

    python -m benchmarks.compiled [--steps 12] [--json FILE]

Each preset is trained twice on random images, as it is and with its networks compiled (inductor, fixed shapes), in
turns, step by step; both take one thread. Seconds are those of processor time, medians of the steps. `compiling` is
what the compiler took for the first steps, with nothing that it kept from earlier ones. Wants a C++ compiler.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch

from benchmarks.machine import store
from imagemodels.runtime import Runtime
from imagemodels.training.config import TrainConfig
from imagemodels.training.events import Step
from imagemodels.training.runs import new_run
from imagemodels.training.trainer import Trainer

CLASSES = 10
IMAGES = 512  # of noise
WARM_UP_STEPS = 3
CASES = (
    ("sngan", 28, 1, "fp32"),
    ("sngan", 32, 3, "bf16"),
    ("vae", 28, 1, "fp32"),
    ("mlp-vae", 28, 1, "fp32"),
    ("dcgan", 64, 3, "bf16"),
)  # preset, side in pixels, channels, precision


@dataclass(frozen=True)
class Found:
    """One preset, seconds of processor time."""

    case: str
    eager: float  # a step
    compiled: float
    ratio: float
    compiling: float


def stepper(case: tuple[str, int, int, str], *, is_compiled: bool) -> Callable[[], float]:
    """A function that takes one step and returns its seconds."""
    preset, side, channels, precision = case
    shape = {"image_size": side, "channels": channels, "num_classes": CLASSES}
    config = TrainConfig.from_mapping({"preset": preset, "images": 10**6, "precision": precision, "seed": 1, **shape})
    images = torch.randint(0, 256, (IMAGES, channels, side, side), dtype=torch.uint8)
    run = new_run(config, images, torch.arange(IMAGES) % CLASSES, Runtime(threads=1, precision=precision))
    assert isinstance(run, Trainer)
    if is_compiled:
        for network in run.task.networks.values():
            network.compile(dynamic=False)
    events = run.run()

    def step() -> float:
        began = time.process_time()
        while not isinstance(next(events), Step):
            pass
        return time.process_time() - began

    return step


def measure(case: tuple[str, int, int, str], steps: int) -> Found:
    """Both in turns."""
    ways = [stepper(case, is_compiled=False), stepper(case, is_compiled=True)]
    first = [sum(way() for _ in range(WARM_UP_STEPS)) for way in ways]
    eager, compiled = (median(column) for column in zip(*([way() for way in ways] for _ in range(steps)), strict=True))
    preset, side, channels, precision = case
    name = f"{preset} {side}×{side}×{channels} {precision}"
    return Found(name, round(eager, 4), round(compiled, 4), round(eager / compiled, 2), round(first[1] - first[0], 1))


def main() -> None:
    """Print one line a preset, and write the JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.compiled", description="training with compiled networks")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.compiler.config.force_disable_caches = True
    print(f"{'s a step':24}{'as it is':>10}{'compiled':>10}{'ratio':>8}{'compiling, s':>14}")
    found = []
    for case in CASES:
        found.append(last := measure(case, arguments.steps))
        print(f"{last.case:24}{last.eager:>10}{last.compiled:>10}{last.ratio:>8}{last.compiling:>14}", flush=True)
    store(arguments, ("steps",), [asdict(one) for one in found])


if __name__ == "__main__":
    main()
