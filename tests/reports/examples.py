"""Reports as real jobs give them, with real handwritten digits for pictures."""

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits

from reports.data import (
    Better,
    CaptionedImage,
    CompressSection,
    Confusion,
    EvaluateSection,
    GenerateSection,
    Grid,
    JobReport,
    MetricLine,
    NeighbourRow,
    RateLine,
    Series,
    TrainSection,
)
from reports.history import AttemptLine, EventLine

NET = "cnn-1a2b3c4d"
START = datetime(2026, 3, 14, 2, 0, 5, tzinfo=UTC)
DIGITS = tuple(str(digit) for digit in range(10))
SPEC = {
    "version": 1,
    "kind": "train",
    "model": {"preset": "sngan", "image_size": 16, "z_size": 64},
    "dataset": "digits",
    "seed": 7,
    "images": 240_000,
}


@cache
def digit_images() -> npt.NDArray[np.uint8]:
    """Give the 1,797 digits of scikit-learn as (N, 16, 16), each pixel doubled."""
    images: npt.NDArray[np.uint8] = (load_digits().images * 15.9).astype(np.uint8)
    return images.repeat(2, axis=1).repeat(2, axis=2)


def tile(images: npt.NDArray[np.uint8], columns: int) -> npt.NDArray[np.uint8]:
    """Lay (N, H, W) images out as one picture of N / columns rows."""
    rows = len(images) // columns
    height, width = images.shape[1:]
    cells = images[: rows * columns].reshape(rows, columns, height, width)
    return cells.swapaxes(1, 2).reshape(rows * height, columns * width)


def noisy_grid(progress: float) -> npt.NDArray[np.uint8]:
    """Give an 8 × 8 grid of digits that comes out of the noise as progress goes from 0 to 1."""
    noise = np.random.default_rng(3).integers(0, 255, (64, 16, 16))
    return tile((progress * digit_images()[:64] + (1 - progress) * noise).astype(np.uint8), 8)


def history(state: str = "succeeded", minutes: float = 12.0) -> dict[str, Any]:
    """Give the fields of a report that every kind of job shares."""
    end = START + timedelta(minutes=minutes)
    lost_at, again_at = START + timedelta(minutes=2), START + timedelta(minutes=3)
    first = AttemptLine(
        number=1,
        state="lost",
        worker="mill-1",
        device="cuda:0",
        reason="WorkerLost",
        started_at=START,
        finished_at=lost_at,
    )
    second = AttemptLine(number=2, state=state, worker="mill-2", device="cuda:1", started_at=again_at, finished_at=end)
    return {
        "job_id": 42,
        "state": state,
        "created_at": START - timedelta(minutes=3),
        "started_at": START,
        "finished_at": end,
        "spec": SPEC,
        "attempts": [first, second],
        "events": [
            EventLine(at=START - timedelta(minutes=3), what="submitted", who="nightly", why="schedule digits-nightly"),
            EventLine(at=START, what="pending → running", who="mill-1"),
            EventLine(at=lost_at, what="running → pending", who="scheduler", why="lease expired"),
            EventLine(at=again_at, what="pending → running", who="mill-2", why="from 60k images"),
            EventLine(at=end, what=f"running → {state}", who="mill-2"),
        ],
    }  # fmt: skip


def train_report(points: int = 3000, frames: int = 16) -> JobReport:
    """Give the report of a training run whose losses are noisy and hold two NaN."""
    rng = np.random.default_rng(5)
    seen = np.linspace(80, 240_000, points)
    discriminator = 1.3 - 0.6 * (1 - np.exp(-seen / 30_000)) + 0.12 * rng.standard_normal(points)
    generator = 0.7 + 1.4 * (1 - np.exp(-seen / 60_000)) + 0.25 * rng.standard_normal(points) + 4 * np.exp(-seen / 2000)
    discriminator[points // 2 : points // 2 + 2] = np.nan
    checks = np.linspace(10_000, 240_000, 24)
    distance = 0.9 * np.exp(-checks / 35_000) + 0.012 + 0.006 * rng.random(24)
    section = TrainSection(
        losses=[
            Series(name="discriminator", images_seen=seen.tolist(), values=discriminator.tolist()),
            Series(name="generator", images_seen=seen.tolist(), values=generator.tolist()),
        ],
        quality=Series(name=f"kid@{NET}", images_seen=checks.tolist(), values=distance.tolist(), better="lower"),
        grids=[
            Grid(
                images_seen=round(240_000 * (index + 1) / frames),
                image=noisy_grid(1 - 0.97 ** (6 * index * 16 / frames)),
            )
            for index in range(frames)
        ],
        reals=tile(digit_images()[100:164], 8),
        model={
            "preset": "sngan",
            "generator": {"parameters": 1_234_567, "ema_half_life_images": 5000},
            "conditional": True,
        },
        images_seen=240_000,
        images_per_second=412.7,
        warnings=["2 losses were not finite; the step was skipped"],
    )
    return JobReport(name="digits, nightly", kind="train", train=section, **history())


def generate_report() -> JobReport:
    """Give the report of a bulk generation of ten thousand digits."""
    rows = [
        {"index": index, "key": f"{index:09d}", "label": DIGITS[index % 10], "seed": 7, "sha256": f"{index:02x}" * 32}
        for index in range(6)
    ]
    section = GenerateSection(
        images=10_000,
        images_planned=10_000,
        shards=5,
        shards_planned=5,
        size_bytes=12_345_678,
        images_per_second=2341.5,
        bound_by="device",
        contact_sheet=tile(digit_images()[:512], 32),
        counts={digit: 1000 + 7 * int(digit) for digit in DIGITS},
        manifest_rows=rows,
        model={"name": "digits", "version": 7, "checkpoint": "9f3ac1", "precision": "bf16"},
        output="outputs/digits-42",
        verify_hint="pixmill output verify 42",
    )
    return JobReport(name="ten thousand digits", kind="generate", generate=section, **history())


def metric(name: str, value: float, *, better: Better = "lower", **controls: float) -> MetricLine:
    """Give a metric over 5,000 images with the controls that are named."""
    return MetricLine(name=f"{name}@{NET}", value=value, n=5000, better=better, **controls)


def evaluate_report() -> JobReport:
    """Give the report of an evaluation with every control, neighbours and a confusion table."""
    images = digit_images()
    counts = np.random.default_rng(1).poisson(0.5, (10, 10)) + 160 * np.eye(10, dtype=int)
    generated = noisy_grid(0.9)
    neighbours = [
        NeighbourRow(
            generated=generated[:16, 16 * row : 16 * row + 16].copy(),
            nearest=list(images[row * 9 : row * 9 + 5]),
            distances=[0.31, 0.35, 0.4, 0.44, 0.51],
        )
        for row in range(6)
    ]
    section = EvaluateSection(
        metrics=[
            metric("fd", 8.31, floor=0.62, copies=0.05, ceiling=912.0),
            metric("kd", 0.0123, floor=-0.0001, copies=-0.0002, ceiling=2.1),
            metric("precision", 0.83, better="higher", floor=0.91, copies=1.0, ceiling=0.0),
            metric("recall", 0.71, better="higher", floor=0.9, copies=1.0, ceiling=0.0),
            metric("coverage", 0.77, better="higher", floor=0.93),
            metric("duplicates", 0.0),
        ],
        per_class_accuracy={digit: 0.97 - 0.02 * int(digit) for digit in DIGITS},
        per_class_accuracy_real=dict.fromkeys(DIGITS, 0.975),
        confusion=Confusion(classes=DIGITS, counts=counts.tolist()),
        neighbours=neighbours,
        warnings=["n = 5,000: the Fréchet distance between equal sets would already be about 0.41"],
    )
    picture = CaptionedImage(caption="Champion beside challenger, same seeds.", image=tile(images[:32], 16))
    return JobReport(name="digits v7", kind="evaluate", evaluate=section, pictures=[picture], **history())


def compress_report() -> JobReport:
    """Give the report of a compression of five hundred digits."""
    section = CompressSection(
        rates=[
            RateLine(name="digits-codec@2", bits_per_pixel=0.373, psnr=23.65, ssim=0.94, n=500),
            RateLine(name="PNG", bits_per_pixel=2.73, psnr=None, ssim=1.0, n=500),
            RateLine(name="WebP 0", bits_per_pixel=0.978, psnr=23.02, ssim=0.9014, n=500),
        ],
        size_bytes=18_277,
        dataset="digits",
        strips=tile(digit_images()[:36], 12),
        strips_reference="WebP 0",
        files_sha256="9f3a" * 16,
        model={"model": "digits-codec@2", "preset": "fsq-ae"},
        next_commands=["pixmill output export 42 --to FOLDER"],
        warnings=["the model was trained on other data (fingerprint 0123456789ab)"],
    )
    return JobReport(name="digits, small", kind="compress", compress=section, **history())
