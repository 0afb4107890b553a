"""Images, batches and data sets for the tests of this folder."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from storage.atomic import TEMPORARY_SUFFIX
from storage.png import Images
from storage.shards import ImageBatch, ShardMeta, ShardRecord, write_shard

SizeLimit = Callable[[int], AbstractContextManager[None]]

META = ShardMeta(checkpoint_sha256="c" * 64, precision="fp32", seed=7, class_names=("cat", "dog", "é"))


def random_images(count: int, height: int, width: int, channels: int, seed: int = 0) -> Images:
    """Noise on a gradient, which exercises both matches and literals of the compressor."""
    generator = np.random.default_rng(seed)
    gradient = np.linspace(0, 200, width)[None, None, :, None]
    noise = generator.integers(0, 40, (count, height, width, channels))
    return (gradient + noise).astype(np.uint8)


def image_batch(first_index: int, count: int, *, side: int = 8, labelled: bool = True) -> ImageBatch:
    """Images that depend on their index alone."""
    indexes = np.arange(first_index, first_index + count)
    images = np.concatenate([random_images(1, side, side, 3, seed=index) for index in indexes.tolist()])
    return ImageBatch(first_index, images, indexes * 11, indexes % 3 if labelled else None)


def publish(folder: Path, counts: tuple[int, ...] = (10, 10, 5)) -> list[ShardRecord]:
    """A data set whose shards hold so many images."""
    records: list[ShardRecord] = []
    first_index = 0
    for number, count in enumerate(counts):
        records.append(write_shard(folder, number, [image_batch(first_index, count)], META))
        first_index += count
    return records


def leftover_files(folder: Path) -> list[Path]:
    """Temporary files that killed writers left below this folder."""
    return sorted(folder.rglob(f".*{TEMPORARY_SUFFIX}"))
