"""How well the recurrent presets predict Moving MNIST, step by step, beside two predictions that need no model.

    python -m benchmarks.sequences --data FOLDER [--presets …] [--image-size 32] [--sequences 10000] [--seeds 1]

FOLDER holds `t10k-images-idx3-ubyte.gz`, 10,000 digits, of which a fifth of each class is held out. Two of them, 28/64
of the canvas wide, move over each sequence; five frames are given, five predicted, and all are judged on held-out
sequences. Canvas, lengths and budget are a fraction of the usual ones, so that a run takes some minutes on a
processor. `copy last` repeats the last frame given, `pixel mean` is the mean training frame. Ends with exit code 1 when
a preset does not have a smaller error and a larger SSIM than both at every step.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import machine
from imagemodels.data import SequenceDataset, load_sequences
from imagemodels.evaluation.sequences import SequenceReport, StepFigures, evaluate_sequences, strips
from imagemodels.options import SequenceOptions
from imagemodels.presets import PRESETS
from imagemodels.runtime import Runtime
from imagemodels.training.config import TrainConfig
from imagemodels.training.events import Progress
from imagemodels.training.runs import new_run
from pixmill.times import write_time
from storage.pictures import contact_sheet, save_png

SET = "moving:idx:{}/t10k-images-idx3-ubyte.gz"
NAMES = tuple(name for name, preset in PRESETS.items() if preset.traits.predicts_frames)
SHOWN_SEQUENCES = 4
BATCH = 4  # sequences: few, for many steps
SMALL: dict[str, object] = {"given_frames": 5, "predicted_frames": 5}


def main() -> int:
    """Train and judge each preset, print the tables, and write the JSON."""
    arguments = _arguments()
    data = load_sequences(SET.format(arguments.data.resolve()), image_size=arguments.image_size)
    contests = [(data, preset, seed, arguments) for preset in arguments.presets for seed in range(arguments.seeds)]
    with ProcessPoolExecutor(arguments.jobs, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(_contest, *zip(*contests, strict=True)))
    if arguments.json:
        arguments.json.write_text(json.dumps(_document(arguments, found), indent=2) + "\n", encoding="utf-8")
    losers = [one["preset"] for one in found if not wins(SequenceReport.from_json(one["report"]))]
    for name in losers:
        print(f"{name} does not beat both controls in MSE and SSIM at every step", file=sys.stderr)
    return 1 if losers else 0


def _contest(data: SequenceDataset, preset: str, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    config = TrainConfig(
        preset=preset,
        image_size=data.image_size,
        channels=data.channels,
        images=arguments.sequences,
        seed=seed,
        batch_size=BATCH,
        overrides=SMALL | {"sampling_images": arguments.sequences // 3},
    )
    torch.set_num_threads(1)
    trainer = new_run(config, data, None, Runtime(threads=1))
    started = time.monotonic()
    for event in trainer.run():
        if isinstance(event, Progress) and arguments.verbose:
            loss = event.losses["reconstruction"]
            print(f"{preset} {seed}: {event.images_seen} of {event.total}, loss {loss:.1f}", flush=True)
    seconds = round(time.monotonic() - started, 1)
    options = config.model.options
    assert isinstance(options, SequenceOptions)
    predictor, steps = trainer.predictor(), options.predicted_frames
    report = evaluate_sequences(predictor, data, frames=steps, count=arguments.judged)
    print_table(f"{preset}, seed {seed}, {seconds:.0f} s of training", report)
    if arguments.pictures:
        frames = options.given_frames + steps
        sheet = contact_sheet(strips(predictor, data, frames, 2 * frames * SHOWN_SEQUENCES), columns=frames)
        save_png(arguments.pictures / f"{preset}-{seed}.png", sheet)
    return {"preset": preset, "seed": seed, "seconds": seconds, "report": report.to_json()}


def wins(report: SequenceReport) -> bool:
    """Whether the model has a smaller error and a larger SSIM than both controls at every step."""
    errors = zip(report.model.mse, report.copy_last.mse, report.pixel_mean.mse, strict=True)
    likenesses = zip(report.model.ssim, report.copy_last.ssim, report.pixel_mean.ssim, strict=True)
    return all(mine < min(others) for mine, *others in errors) and all(
        mine > max(others) for mine, *others in likenesses
    )


def print_table(title: str, report: SequenceReport) -> None:
    """One row a way to predict and measure, one column a step."""
    steps = len(report.model.mse)
    print(f"\n{title}; {report.sequences} held-out sequences, {report.given_frames} frames given")
    print(" ".join([f"{'step':17}", *(f"{step:>6}" for step in range(1, steps + 1))]))
    ways: Mapping[str, StepFigures] = {
        "model": report.model,
        "copy last": report.copy_last,
        "pixel mean": report.pixel_mean,
    }
    for measure, digits in (("mse", 4), ("psnr", 2), ("ssim", 3)):
        for way, figures in ways.items():
            values = getattr(figures, measure)
            cells = (f"{'–' if value is None else format(value, f'.{digits}f'):>6}" for value in values)
            print(" ".join([f"{measure:5}{way:12}", *cells]), flush=True)


def _document(arguments: argparse.Namespace, found: list[dict[str, Any]]) -> dict[str, object]:
    left_out = ("data", "json", "pictures", "verbose")
    settings = {key: value for key, value in vars(arguments).items() if key not in left_out} | SMALL | {"batch": BATCH}
    return {"date": write_time(datetime.now(UTC)), "settings": settings, "machine": machine(), "results": found}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.sequences", description="how well next frames are predicted")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--presets", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--image-size", type=int, default=32, help="side of the canvas in pixels")
    parser.add_argument("--sequences", type=int, default=10_000, help="budget: sequences seen in training")
    parser.add_argument("--judged", type=int, default=500, help="held-out sequences")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="presets and seeds at the same time, in one thread each")
    parser.add_argument("--pictures", type=Path, help="folder for strips of true and predicted frames")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--verbose", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
