"""Nights of retraining by the command line alone: data that grow, a night of wrong labels, and a rollback.

    python -m benchmarks.nights --data FOLDER [--images 30000] [--json FILE]

FOLDER holds the 10,000 test digits of MNIST. The last 2,000 are set aside to judge by; of the others a model learns
from 1,000, 4,000 and all 8,000 in three nights, and in a fourth from 8,000 of which three in ten have a wrong label.
Each night is a run of one pipeline (train from the champion, gate); a model whose verdict is PROMOTE is promoted, as an
operator does it. At the end the last promotion is rolled back, and a generate job shows which version it means.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import store

REPOSITORY = Path(__file__).parents[1]
NIGHTS = ((1000, 0.0), (4000, 0.0), (8000, 0.0), (8000, 0.3))  # images, share of wrong labels
JUDGING_IMAGES = 2000
NAMES = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
HEADERS = (16, 8)  # bytes before the pixels, and before the labels
SIDE, CLASSES = 28, 10
MEASURES = ("kid", "agreement", "coverage")

PIPELINE = """
kind: pipeline
name: night
params: {{images: {images}}}
steps:
  train:
    kind: train
    model: vae
    dataset: digits-so-far
    conditional: true
    images: ${{params.images}}
    name: digits
    start_from: ${{champion.digits}}
    skip_unchanged: true
  gate:
    kind: gate
    model: ${{train.model}}
    against: ${{champion.digits}}
    dataset: idx:{judging}
"""


@dataclass(frozen=True)
class Night:
    """What a night gave; values are means over the gate's seeds."""

    images: int
    wrong_labels: float  # share
    verdict: str
    why: list[str]  # gates that did not pass
    challenger: Mapping[str, float]
    before: Mapping[str, float]  # the champion's, measured beside it
    champion: str  # afterwards
    seconds: float


class Desk:
    """The command line on a home of its own."""

    def __init__(self, home: Path) -> None:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("PIXMILL_")}
        self._variables = {**inherited, "PIXMILL_HOME": str(home)}

    def run(self, *words: str) -> str:
        """What a command prints.  Raises RuntimeError with what it says when it fails."""
        command = [sys.executable, "-m", "cli", *words]
        done = subprocess.run(command, cwd=REPOSITORY, env=self._variables, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"pixmill {' '.join(words)} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def ask(self, *words: str) -> Any:
        """The same as JSON."""
        return json.loads(self.run(*words, "-o", "json"))


@contextmanager
def running(home: Path) -> Iterator[Desk]:
    """A home with a scheduler and a worker on the CPU."""
    desk = Desk(home)
    desk.run("up", "--device", "cpu")
    try:
        yield desk
    finally:
        desk.run("down")


def read_digits(data: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Images (N, 28, 28) and labels (N,), uint8."""
    pixels, labels = (
        np.frombuffer(gzip.decompress((data / name).read_bytes()), np.uint8, offset=header)
        for name, header in zip(NAMES, HEADERS, strict=True)
    )
    return pixels.reshape(-1, SIDE, SIDE), labels


def write_digits(folder: Path, images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> Path:
    """Write both as MNIST does; gives the file of the images."""
    folder.mkdir(parents=True)
    count = len(images).to_bytes(4, "big")
    side = SIDE.to_bytes(4, "big")
    (folder / NAMES[0]).write_bytes(gzip.compress(b"\0\0\x08\x03" + count + side + side + images.tobytes(), 1))
    (folder / NAMES[1]).write_bytes(gzip.compress(b"\0\0\x08\x01" + count + labels.tobytes(), 1))
    return folder / NAMES[0]


def with_wrong_labels(labels: np.ndarray[Any, Any], share: float) -> np.ndarray[Any, Any]:
    """The labels, of which so many have become another one."""
    noise = np.random.default_rng(0)
    wrong = noise.random(len(labels)) < share
    moved = (labels + noise.integers(1, CLASSES, len(labels), dtype=np.uint8)) % CLASSES
    return np.where(wrong, moved, labels).astype(np.uint8)


def night(desk: Desk, pipeline: Path, source: Path, images: int, wrong_labels: float) -> Night:
    """Register the data of the day, run the pipeline, and promote what has earned it."""
    began = time.monotonic()
    desk.run("dataset", "add", "digits-so-far", f"idx:{source}", "--replace")
    run = desk.run("pipeline", "run", "-f", str(pipeline), "--wait", "-q").strip()
    steps = {step["name"]: step for step in desk.ask("pipeline", "show", run)["item"]["steps"]}
    values = steps["gate"]["values"]
    rows = desk.ask("job", "show", str(steps["gate"]["job_id"]))["item"]["tasks"][0]["result"]["gates"]
    if values["verdict"] == "PROMOTE":
        desk.run("model", "promote", values["model"], "--reason", f"the gate of pipeline run {run}")
    return Night(
        images=images,
        wrong_labels=wrong_labels,
        verdict=values["verdict"],
        why=[row["text"] for row in rows if row["outcome"] not in ("passed", "skipped")],
        challenger=_means(rows, "challenger"),
        before=_means(rows, "champion"),
        champion=champion(desk),
        seconds=round(time.monotonic() - began, 1),
    )


def _means(rows: list[dict[str, Any]], side: str) -> dict[str, float]:
    measured = {row["gate"]: row[side]["mean"] for row in rows if row[side] is not None}
    return {name: round(measured[name], 4) for name in MEASURES if name in measured}


def champion(desk: Desk) -> str:
    """The version that stands; "none" without one."""
    versions = desk.ask("model", "versions", "digits")["items"]
    return next((f"digits@{each['version']}" for each in versions if "champion" in each["aliases"]), "none")


def rolled_back(desk: Desk) -> dict[str, str]:
    """The champion before and after a rollback, and the model that a generate job then names."""
    before = champion(desk)
    desk.run("model", "rollback", "digits", "--reason", "to see that it takes effect")
    job = desk.run("submit", "generate", "--model", "digits@champion", "--n", "100", "--wait", "-q").strip()
    generated = desk.ask("job", "show", job)["item"]["spec"]["model"]
    return {"before": before, "after": champion(desk), "generated_with": generated}


def main() -> None:
    """Print one line a night, and write the JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.nights", description="nights of retraining")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=30_000, help="that each night's training looks at")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    images, labels = read_digits(arguments.data)
    found = []
    print(f"{'images':>7}{'wrong':>7}{'verdict':>9}{'champion':>11}{'s':>7}  challenger, and the champion before it")
    with tempfile.TemporaryDirectory() as name, running(Path(name) / "home") as desk:
        folder, split = Path(name), len(images) - JUDGING_IMAGES
        judging = write_digits(folder / "judging", images[split:], labels[split:])
        pipeline = folder / "night.yaml"
        pipeline.write_text(PIPELINE.format(images=arguments.images, judging=judging), encoding="utf-8")
        for number, (count, share) in enumerate(NIGHTS):
            source = write_digits(folder / f"night-{number}", images[:count], with_wrong_labels(labels[:count], share))
            last = night(desk, pipeline, source, count, share)
            found.append(last)
            figures = f"{dict(last.challenger)}, {dict(last.before)}"
            print(f"{count:>7,}{share:>7}{last.verdict:>9}{last.champion:>11}{last.seconds:>7}  {figures}", flush=True)
            for line in last.why:
                print(f"        {line}", flush=True)
        rollback = rolled_back(desk)
    print(f"rollback: {rollback}")
    store(arguments, ("images",), {"nights": [asdict(one) for one in found], "rollback": rollback})


if __name__ == "__main__":
    main()
