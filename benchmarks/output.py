"""How fast one core turns images in memory into a published shard: PNG, SHA-256, tar, Parquet, marker, fsync.

    python -m benchmarks.output [--seconds 3] [--folder DIR] [--json FILE]

The baseline is Pillow's default PNG encoder with everything after it unchanged, in the same run, in turns with ours.
The floor, in turns too, is what the calls into C cost alone that make the same bytes: ISA-L on filtered rows where the
image is deflated, SHA-256 of the files and of the archive, the writing of it in pieces, fsync. The images are made
before the clock starts. `smooth` looks like a photograph out of focus, `generated` adds the grain of a generator that
is still learning and hardly compresses.
"""

import argparse
import hashlib
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import PIL
from isal import igzip_lib
from PIL import Image

from benchmarks.machine import store
from storage import shards
from storage.png import ENCODER, HISTORY_BITS, ISAL_LEVEL, ISAL_MEMORY, Encoder, Images
from storage.records import default_shard_size

BATCH_IMAGES = 256
ROUNDS = 3
PIECE_BYTES = 1024 * 1024  # of the archive, hashed and written at a time
IDAT_START, IDAT_END = 41, -16  # of the zlib stream in a file of ours
CASES = ((28, 1), (64, 3), (128, 3))  # side in pixels, channels
META = shards.ShardMeta(checkpoint_sha256="0" * 64, precision="fp32", seed=1)


@dataclass(frozen=True)
class Round:
    """One shard, figures for each image of it."""

    wall_seconds: float
    cpu_seconds: float
    tar_bytes: float
    stages: dict[str, float]  # microseconds


@dataclass(frozen=True)
class Measurement:
    """One kind of images through one encoder."""

    case: str
    images: str
    encoder: str
    images_per_second: float  # of wall time, median of the rounds
    images_per_cpu_second: float  # the same, where other work shares the core
    of_floor: float | None  # the floor's processor time, as a share of this; None: not taken
    tar_bytes: float  # an image
    stages: dict[str, float]  # microseconds an image, of the last round


def smooth_images(count: int, side: int, channels: int, generator: np.random.Generator) -> Images:
    """Random colour gradients with a little grain: uint8, (N, H, W, C)."""
    corners = generator.normal(128, 50, (count, 5, 5, channels))
    at = np.linspace(0, 3.999, side)
    left, share = at.astype(int), at % 1
    columns = share[None, None, :, None]
    rows = share[None, :, None, None]
    lines = corners[:, left] * (1 - rows) + corners[:, left + 1] * rows
    pixels = lines[:, :, left] * (1 - columns) + lines[:, :, left + 1] * columns
    return _to_uint8(pixels + generator.normal(0, 2, pixels.shape))


def generated_images(count: int, side: int, channels: int, generator: np.random.Generator) -> Images:
    """Gradients under strong grain: uint8, (N, H, W, C)."""
    smooth = smooth_images(count, side, channels, generator)
    return _to_uint8(smooth + generator.normal(0, 30, smooth.shape))


def pillow_encode(images: Images) -> list[bytes]:
    """What a script would do: Image.save for each image."""
    files = []
    for image in images:
        buffer = BytesIO()
        Image.fromarray(image if image.shape[2] == 3 else image[:, :, 0]).save(buffer, format="PNG")
        files.append(buffer.getvalue())
    return files


def measure(case: tuple[int, int], kind: str, folder: Path, seconds: float) -> list[Measurement]:
    """Ours and Pillow's, in turns, for about `seconds` each."""
    side, channels = case
    make = smooth_images if kind == "smooth" else generated_images
    pool = make(2048 if side < 100 else 512, side, channels, np.random.default_rng(0))
    encoders = (ENCODER, Encoder("pillow", PIL.__version__, pillow_encode))
    rounds: list[list[Round]] = [[], []]
    floors = []
    counts = [_count_for(encoder, pool, seconds / ROUNDS) for encoder in encoders]
    bare = _Bare(pool, counts[0], folder)
    for _ in range(ROUNDS):
        for encoder, count, mine in zip(encoders, counts, rounds, strict=True):
            mine.append(_one_shard(pool, count, encoder, folder))
        floors.append(bare.run())
    share = median(floor / mine.cpu_seconds for floor, mine in zip(floors, rounds[0], strict=True))
    shares = (share, None)
    return [
        _summary(case, kind, encoder.name, mine, of_floor)
        for encoder, mine, of_floor in zip(encoders, rounds, shares, strict=True)
    ]


class _Bare:
    """The calls into C behind a shard of ours, on bytes that lie ready."""

    def __init__(self, pool: Images, count: int, folder: Path) -> None:
        run = Path(tempfile.mkdtemp(dir=folder))
        record = shards.write_shard(run, 0, _batches(pool, count), META)
        self._archive = memoryview((run / record.tar).read_bytes())
        self._files = [file for _row, file in islice(shards.read_shard(run, 0), count)]
        streams = [file[IDAT_START:IDAT_END] for file in self._files]
        self._rows = [zlib.decompress(stream) for stream in streams if stream[2] & 6]  # the others are stored
        self._target = run / "archive"

    def run(self) -> float:
        """Seconds of processor time for each image."""
        started = time.process_time()
        for row in self._rows:
            igzip_lib.compress(row, ISAL_LEVEL, igzip_lib.COMP_ZLIB, ISAL_MEMORY, HISTORY_BITS)
        for file in self._files:
            hashlib.sha256(file).digest()
        digest = hashlib.sha256()
        with self._target.open("wb", buffering=0) as target:
            for start in range(0, len(self._archive), PIECE_BYTES):
                piece = self._archive[start : start + PIECE_BYTES]
                target.write(piece)
                digest.update(piece)
            os.fsync(target.fileno())
        return (time.process_time() - started) / len(self._files)


def _count_for(encoder: Encoder, pool: Images, seconds: float) -> int:
    encoder.encode(pool[:BATCH_IMAGES])
    started = time.process_time()
    encoder.encode(pool[:BATCH_IMAGES])
    estimate = seconds / (1.5 * (time.process_time() - started)) * BATCH_IMAGES
    limit = default_shard_size(pool.shape[1], pool.shape[3])
    return int(min(max(estimate, BATCH_IMAGES), limit))


def _batches(pool: Images, count: int) -> Iterator[shards.ImageBatch]:
    for first in range(0, count, BATCH_IMAGES):
        size = min(BATCH_IMAGES, count - first)
        start = first % (len(pool) - BATCH_IMAGES + 1)
        indexes = np.arange(first, first + size)
        yield shards.ImageBatch(first, pool[start : start + size], indexes, indexes % 10)


def _one_shard(pool: Images, count: int, encoder: Encoder, folder: Path) -> Round:
    run = Path(tempfile.mkdtemp(dir=folder))
    wall, cpu = time.perf_counter(), time.process_time()
    record = shards.write_shard(run, 0, _batches(pool, count), META, encoder=encoder)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    stages = {key: seconds / count * 1e6 for key, seconds in shards.read_marker(run, 0).timings.items()}
    shutil.rmtree(run)
    return Round(wall / count, cpu / count, record.tar_bytes / count, stages)


def _summary(case: tuple[int, int], kind: str, name: str, rounds: list[Round], of_floor: float | None) -> Measurement:
    side, channels = case
    return Measurement(
        case=f"{side}×{side} {'RGB' if channels == 3 else 'gray'}",
        images=kind,
        encoder=name,
        images_per_second=round(1 / median(one.wall_seconds for one in rounds)),
        images_per_cpu_second=round(1 / median(one.cpu_seconds for one in rounds)),
        of_floor=None if of_floor is None else round(of_floor, 2),
        tar_bytes=round(rounds[0].tar_bytes),
        stages={key.removesuffix("_seconds"): round(value, 2) for key, value in rounds[-1].stages.items()},
    )


def _to_uint8(pixels: Any) -> Images:
    return np.ascontiguousarray(np.clip(pixels, 0, 255), dtype=np.uint8)


def _print_table(results: list[Measurement]) -> None:
    print(
        f"{'images':22}{'encoder':14}{'images/s':>10}{'per CPU s':>11}{'of floor':>10}{'tar bytes':>11}{'× Pillow':>10}"
    )
    for ours, pillow in zip(results[::2], results[1::2], strict=True):
        for row in (ours, pillow):
            ratio = row.images_per_cpu_second / pillow.images_per_cpu_second
            label = f"{row.case} {row.images}"
            share = "–" if row.of_floor is None else f"{row.of_floor:.0%}"
            print(
                f"{label:22}{row.encoder:14}{row.images_per_second:>10,.0f}{row.images_per_cpu_second:>11,.0f}"
                f"{share:>10}{row.tar_bytes:>11,.0f}{ratio:>10.1f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description="images per second of the output path, on one core")
    parser.add_argument("--seconds", type=float, default=3.0, help="time for each encoder and kind of image")
    parser.add_argument("--folder", type=Path, help="where the shards are written (default: a temporary folder)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one core, as the figures claim
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        kinds = [(case, kind) for case in CASES for kind in ("smooth", "generated")]
        results = [row for case, kind in kinds for row in measure(case, kind, Path(folder), arguments.seconds)]
    _print_table(results)
    store(arguments, ("seconds",), [asdict(row) for row in results])


if __name__ == "__main__":
    main()
