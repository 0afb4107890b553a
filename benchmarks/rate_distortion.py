"""Bits per pixel and what is left of held-out images: fsq-ae at several rates, beside PNG and WebP.

    python -m benchmarks.rate_distortion --data FOLDER [--sets mnist cifar10] [--images 15000] [--n 500] [--json FILE]

FOLDER holds `t10k-images-idx3-ubyte.gz` with its labels, 10,000 digits, and `cifar10-train-10k.zip`, 10,000 photographs
in class folders. A fifth is held out, and of it the first n are compressed. Sizes are those of whole files, headers
included; every file is decoded again, and PSNR and SSIM are means over images. `decoded` is the SHA-256 over the
pixels of all decoded images, `files` that over all files: a second run on the same machine prints the same.
"""

import argparse
import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.machine import store
from benchmarks.quality import SETS
from imagemodels.codec import Codec
from imagemodels.data import ImageDataset, load_dataset
from imagemodels.evaluation.rates import Rate, measured_rate, reference_rates
from imagemodels.runtime import Runtime
from imagemodels.shell import train

LEVELS = {"mnist": ("5,5", "8,5,5,5"), "cifar10": ("8,5,5,5", "8,8,8,5,5,5,5,5")}
STORED = ("sets", "images", "n", "threads")  # of the arguments


@dataclass(frozen=True)
class Found:
    """One way to write the images, and what tells its files and its pixels from others."""

    rate: Rate
    decoded: str  # SHA-256
    files: str | None = None  # SHA-256
    train_seconds: float | None = None


def codec_found(data: ImageDataset, originals: npt.NDArray[np.uint8], levels: str, images: int) -> Found:
    """Train a codec with codes of these levels, and measure it."""
    started = time.perf_counter()
    codec = train("fsq-ae", data, images=images, runtime=Runtime(threads=torch.get_num_threads()), levels=levels)
    seconds = round(time.perf_counter() - started, 1)
    assert isinstance(codec, Codec)
    files = codec.compress(originals)
    decoded = codec.decompress(files)
    rate = measured_rate(f"fsq-ae {levels}", [len(content) for content in files], decoded, originals)
    return Found(rate, _digest([decoded.tobytes()]), _digest(files), seconds)


def measured(name: str, data: ImageDataset, n: int, images: int) -> Iterator[Found]:
    """Measure all ways to write the first n held-out images."""
    originals = data.images[data.test_indices[:n]]
    for rate, decoded in reference_rates(originals, lambda _share: None):
        yield Found(rate, _digest([decoded.tobytes()]))
    for levels in LEVELS[name]:
        yield codec_found(data, originals, levels, images)


def _digest(parts: Sequence[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _row(found: Found) -> str:
    rate = found.rate
    ratio = "–" if rate.psnr is None else f"{rate.psnr:.2f}"
    return f"{rate.name:24} {rate.bits_per_pixel:8.3f} {ratio:>8} {rate.ssim:8.4f}  {found.decoded[:16]}"


def main() -> None:
    """Print a table for each set, and write the JSON."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    results: dict[str, list[dict[str, object]]] = {}
    for name in arguments.sets:
        data = load_dataset(SETS[name].format(arguments.data.resolve()))
        print(f"\n{name}\n{'files':24} {'bits/px':>8} {'PSNR':>8} {'SSIM':>8}  decoded")
        results[name] = []
        for found in measured(name, data, arguments.n, arguments.images):
            print(_row(found), flush=True)
            results[name].append(asdict(found))
        store(arguments, STORED, results)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.rate_distortion", description="what compression costs and loses")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", choices=LEVELS, default=list(LEVELS))
    parser.add_argument("--images", type=int, default=15_000, help="budget: images seen in training")
    parser.add_argument("--n", type=int, default=500, help="held-out images that are compressed")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
