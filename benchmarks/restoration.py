"""How near restored images come to the true ones: conv-ae and pix2pix, beside the damaged images themselves.

    python -m benchmarks.restoration --data FOLDER [--sets mnist cifar10] [--images 4000] [--n 500] [--json FILE]

FOLDER holds `t10k-images-idx3-ubyte.gz` with its labels, 10,000 digits, and `cifar10-train-10k.zip`, 10,000 photographs
in class folders. A fifth is held out, and of it the first n are damaged, each as a function of its number alone, and
restored. PSNR (dB) and SSIM are means over images. `restored` is the SHA-256 over the restored pixels: a second run on
the same machine prints the same. With --pictures FOLDER, a sheet of damaged, restored and true images of each.
"""

import argparse
import hashlib
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from benchmarks.machine import store
from benchmarks.quality import SETS
from imagemodels.data import ImageDataset, load_dataset
from imagemodels.evaluation.restorations import DamagedImages, Fidelity, before_and_after, damaged_images, fidelity
from imagemodels.options import RestorationOptions
from imagemodels.presets import resolve
from imagemodels.restoration import Restorer
from imagemodels.runtime import Runtime
from imagemodels.shell import train
from storage.pictures import contact_sheet, save_png

DAMAGES = ("noise", "mask", "downsample", "blur", "jpeg")
PRESETS = ("conv-ae", "pix2pix")
SHOWN = 20  # images of a sheet
SEED = 0
STORED = ("sets", "damages", "presets", "images", "n", "threads")  # of the arguments


@dataclass(frozen=True)
class Found:
    """One way to give the images, over the same ones."""

    damage: str
    way: str  # damaged, or the preset that restored them
    fidelity: Fidelity
    n: int
    restored: str | None = None  # SHA-256
    train_seconds: float | None = None


def measured(data: ImageDataset, damage: str, arguments: argparse.Namespace) -> Iterator[Found]:
    """Measure the damaged images, and what each preset makes of them."""
    options = resolve(PRESETS[0], {"degradation": damage}).options
    assert isinstance(options, RestorationOptions)
    pairs = damaged_images(data.images[data.test_indices[: arguments.n]], options.damage, SEED)
    yield Found(damage, "damaged", fidelity(pairs.images, pairs.truth), len(pairs))
    for preset in arguments.presets:
        yield _restored(data, pairs, damage, preset, arguments)


def _restored(
    data: ImageDataset, pairs: DamagedImages, damage: str, preset: str, arguments: argparse.Namespace
) -> Found:
    started = time.perf_counter()
    runtime = Runtime(threads=arguments.threads)
    model = train(preset, data, images=arguments.images, runtime=runtime, degradation=damage)
    seconds = round(time.perf_counter() - started, 1)
    assert isinstance(model, Restorer)
    restored = model.restore(pairs.images, pairs.holes)
    if arguments.pictures:
        sheet = contact_sheet(before_and_after(model, pairs, SHOWN), columns=12)
        save_png(arguments.pictures / f"{Path(data.name).stem}-{damage}-{preset}.png", sheet)
    digest = hashlib.sha256(restored.tobytes()).hexdigest()
    return Found(damage, preset, fidelity(restored, pairs.truth), len(pairs), digest, seconds)


def _row(found: Found) -> str:
    seconds = "" if found.train_seconds is None else f"{found.train_seconds:8.1f} s  {(found.restored or '')[:16]}"
    return f"{found.damage:12} {found.way:10} {found.fidelity.psnr:7.2f} {found.fidelity.ssim:8.4f} {seconds}"


def main() -> None:
    """Print a table for each set, and write the JSON."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    results: dict[str, list[dict[str, object]]] = {}
    for name in arguments.sets:
        data = load_dataset(SETS[name].format(arguments.data.resolve()))
        print(f"\n{name}\n{'damage':12} {'images':10} {'PSNR':>7} {'SSIM':>8}", flush=True)
        results[name] = []
        for damage in arguments.damages:
            for found in measured(data, damage, arguments):
                print(_row(found), flush=True)
                results[name].append(asdict(found))
            store(arguments, STORED, results)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.restoration", description="how near restored images come")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--damages", nargs="+", choices=DAMAGES, default=["noise", "mask", "downsample"])
    parser.add_argument("--presets", nargs="+", choices=PRESETS, default=list(PRESETS))
    parser.add_argument("--images", type=int, default=4_000, help="budget: images seen in training")
    parser.add_argument("--n", type=int, default=500, help="held-out images that are restored")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
