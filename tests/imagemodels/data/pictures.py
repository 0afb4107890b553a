"""Real image files and IDX files, written small, for the tests of the readers."""

import gzip
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image


def write_picture(path: Path, seed: int, size: tuple[int, int] = (20, 20), mode: str = "RGB") -> Path:
    """Write a picture whose pixels depend on the seed alone, in the format that the suffix names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = {"L": 1, "RGB": 3, "RGBA": 4, "CMYK": 4}[mode]
    shape = (size[1], size[0], channels)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels.squeeze(-1) if channels == 1 else pixels, mode=None if mode != "CMYK" else "CMYK").save(path)
    return path


def write_class_folders(root: Path, counts: dict[str, int], size: tuple[int, int] = (20, 20)) -> Path:
    """Write so many pictures into each class folder, no two alike."""
    seed = 0
    for name, count in counts.items():
        for number in range(count):
            write_picture(root / name / f"{number:03d}.png", seed, size)
            seed += 1
    return root


def idx_bytes(array: npt.NDArray[np.uint8]) -> bytes:
    """Return an array in the IDX format."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 0x08, array.ndim, *array.shape)
    return header + array.tobytes()


def write_idx_parts(folder: Path, train: int = 40, test: int = 10, side: int = 12, packed: bool = True) -> Path:
    """Write the four files of an MNIST-like data set with labels 0 to 3."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(7)
    for part, count in (("train", train), ("t10k", test)):
        images = generator.integers(0, 256, (count, side, side), dtype=np.uint8)
        labels = (np.arange(count) % 4).astype(np.uint8)
        _write(folder / f"{part}-images-idx3-ubyte", idx_bytes(images), packed)
        _write(folder / f"{part}-labels-idx1-ubyte", idx_bytes(labels), packed)
    return folder


def _write(path: Path, content: bytes, packed: bool) -> None:
    if packed:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(content, mtime=0))
    else:
        path.write_bytes(content)
