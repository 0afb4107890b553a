"""A folder of very many tiny files: packed once, opened again, trained on; seconds and memory of each.

    python -m benchmarks.large_folder [--files 1000000] [--size 32] [--folder DIR] [--json FILE]

The files are 8 × 8 RGB images, written before the clock starts and removed at the end. Each act is a process of its
own, so that its peak of memory is its own: all pages that it holds (VmHWM), which include those of the packed file that
the kernel may take back, and those that are no copy of a file (RssAnon, looked at every few images). `start` is the
same process without images to read: what Python, numpy, Pillow and torch take by themselves.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine
from storage.png import encode_batch

SIDE = 8  # pixels of a file
CLASSES, FOLDERS = 10, 100  # folders below each class
BATCH = 64
ACTS = ("start", "pack", "open", "train")


def write_files(root: Path, count: int) -> None:
    """Write distinct images, an equal number in each of the folders."""
    generator = np.random.default_rng(1)
    for first in range(0, count, 10_000):
        images = generator.integers(0, 256, (min(10_000, count - first), SIDE, SIDE, 3), dtype=np.uint8)
        for number, content in enumerate(encode_batch(images), start=first):
            folder = root / f"class-{number % CLASSES}" / f"{number // CLASSES % FOLDERS:02d}"
            if number < CLASSES * FOLDERS:
                folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number:07d}.png").write_bytes(content)


def memory(name: str) -> float:
    """A line of this process's status, in MB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"the kernel tells no {name}")


def act(name: str, folder: Path, size: int) -> dict[str, Any]:
    """Do one act in this process, on folder/files with what is packed in folder/packed; gives its figures."""
    import torch

    from imagemodels.data import PackedStore, load_dataset
    from imagemodels.runtime import Runtime
    from imagemodels.training.config import TrainConfig
    from imagemodels.training.stream import ImageStream

    torch.set_num_threads(1)
    most = memory("RssAnon")

    def watch(_phase: str, _share: float) -> None:
        nonlocal most
        most = max(most, memory("RssAnon"))

    started, cpu = time.perf_counter(), time.process_time()
    count = 0
    if name != "start":
        store = PackedStore(folder / "packed", above_bytes=0)
        data = load_dataset(f"folder:{folder / 'files'}", image_size=size, channels=3, packed=store, progress=watch)
        count = len(data)
        assert data.is_packed
    if name == "train":
        started, cpu = time.perf_counter(), time.process_time()
        config = TrainConfig(preset="vae", image_size=size, channels=3, images=1000, batch_size=BATCH)
        images, rows = torch.from_numpy(data.images).permute(0, 3, 1, 2), torch.from_numpy(data.train_indices)
        stream = ImageStream(config, images, None, Runtime(), rows)
        for step in range(len(rows) // BATCH):
            stream.batch(step)
            watch("", 0.0)
        count = len(rows)
    watch("", 1.0)
    return {
        "act": name,
        "images": count,
        "seconds": round(time.perf_counter() - started, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "peak_mb": round(memory("VmHWM")),
        "peak_anonymous_mb": round(most),
    }


def in_process(name: str, folder: Path, size: int) -> dict[str, Any]:
    """One act in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.large_folder", "--act", name, "--size", str(size)]
    done = subprocess.run([*command, "--folder", folder], capture_output=True, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description="A folder of very many tiny files.")
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=32, help="side in pixels that the images are read at")
    parser.add_argument("--folder", type=Path, help="where the files are written; default: a temporary folder")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--act", choices=ACTS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.act:
        print(json.dumps(act(chosen.act, chosen.folder, chosen.size)))
        return
    folder = Path(tempfile.mkdtemp(prefix="large-folder-", dir=chosen.folder))
    try:
        write_files(folder / "files", chosen.files)
        pixels_mb = chosen.files * chosen.size**2 * 3 / 1e6
        print(f"{chosen.files:,} files, decoded {pixels_mb:,.0f} MB")
        print(f"{'act':6} {'images':>10} {'seconds':>8} {'of CPU':>8} {'peak MB':>8} {'anonymous':>10}")
        found = []
        for name in ACTS:
            figures = in_process(name, folder, chosen.size)
            found.append(figures)
            numbers = (figures[key] for key in ("seconds", "cpu_seconds", "peak_mb", "peak_anonymous_mb"))
            print(f"{name:6} {figures['images']:>10,} {'{:>8} {:>8} {:>8} {:>10}'.format(*numbers)}", flush=True)
        if chosen.json:
            facts = {"machine": machine(), "files": chosen.files, "decoded_mb": pixels_mb}
            chosen.json.write_text(json.dumps({**facts, "acts": found}, indent=1) + "\n", encoding="utf-8")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
