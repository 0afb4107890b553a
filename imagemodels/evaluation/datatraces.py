"""What is kept of a data set, so that later data can be compared with it when it is gone. Free of torch.

Shapes: N images, H pixels a side, C channels, T the side of a thumbnail.
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import IO, Any, Self
from zipfile import BadZipFile, is_zipfile

import numpy as np
import numpy.typing as npt

from imagemodels.data.dataset import ImageDataset, Images, Indices
from imagemodels.data.seen import SeenImages
from imagemodels.errors import CorruptCheckpoint
from imagemodels.evaluation.distances import Moments, moments

SAMPLED_IMAGES = 2000  # at most, of which levels, thumbnails and features are taken
THUMBNAIL_SIDE = 8  # pixels
DIGITS = 5  # of the numbers in a summary

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class DataSummary:
    """A data set in some numbers, small enough for a row.

    histogram    class name → images; empty without labels
    mean, deviation  of the pixels of each channel, from 0 (black) to 1, over the sampled images
    mean_image   (T, T, C), from 0 to 1
    """

    images: int
    histogram: dict[str, int]
    sampled: int
    mean: list[float]
    deviation: list[float]
    mean_image: list[list[list[float]]]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Inverse of `to_json`."""
        return cls(**values)


@dataclass(frozen=True, eq=False)
class DataTraces:
    """What is too large for a row: a key of each image, and how thumbnails, and features, are spread.

    features are those of the net whose digest is `net`; None where no net has looked at them.
    """

    image_size: int  # pixels; keys are of images of this size, and of so many channels
    channels: int
    images: SeenImages
    thumbnails: Moments | None  # of the gray values (T · T,); None of a single image
    features: Moments | None = None
    net: str = ""

    def with_features(self, features_NF: npt.NDArray[np.floating], net: str) -> Self:
        """The same with features (N, F) of the sampled images."""
        return replace(self, features=moments(features_NF) if len(features_NF) > 1 else None, net=net)

    def write(self, file: IO[bytes]) -> None:
        """Write them as arrays of NumPy, without any pickle."""
        arrays: dict[str, Any] = {"shape": [self.image_size, self.channels], "keys": self.images.keys}
        for name, spread in (("thumbnails", self.thumbnails), ("features", self.features)):
            if spread is not None:
                arrays |= {f"{name}_mean": spread.mean, f"{name}_covariance": spread.covariance}
                arrays[f"{name}_count"] = spread.count
        np.savez(file, net=np.frombuffer(self.net.encode(), np.uint8), **arrays)

    @classmethod
    def read(cls, file: IO[bytes]) -> Self:
        """Inverse of `write`.  Raises CorruptCheckpoint."""
        if not is_zipfile(file):
            raise CorruptCheckpoint("what was kept of the data cannot be read: it is no archive of arrays")
        file.seek(0)
        try:
            with np.load(file, allow_pickle=False) as arrays:
                size, channels = (int(number) for number in arrays["shape"])
                images = SeenImages(arrays["keys"].astype(np.uint64))
                thumbnails, features = (_spread(arrays, name) for name in ("thumbnails", "features"))
                return cls(size, channels, images, thumbnails, features, net=arrays["net"].tobytes().decode())
        except (
            OSError, ValueError, KeyError, TypeError, EOFError, AttributeError, BadZipFile, OverflowError, MemoryError,
            SyntaxError, RecursionError, NotImplementedError, RuntimeError, zlib.error, struct.error,
        ) as error:  # fmt: skip  # what NumPy and the zip reader let through on damaged archives
            raise CorruptCheckpoint(f"what was kept of the data cannot be read: {error}") from error


def _spread(arrays: Any, name: str) -> Moments | None:
    if f"{name}_mean" not in arrays:
        return None
    return Moments(arrays[f"{name}_mean"], arrays[f"{name}_covariance"], int(arrays[f"{name}_count"]))


def sampled_rows(data: ImageDataset) -> Indices:
    """The numbers of at most SAMPLED_IMAGES images, evenly spread: a folder's are sorted by class."""
    count = min(len(data), SAMPLED_IMAGES)
    return np.linspace(0, len(data) - 1, count).astype(np.int64)


def summarised(
    data: ImageDataset, note: Callable[[float], None] = lambda _share: None
) -> tuple[DataSummary, DataTraces]:
    """Both of all images of a data set, the held-out ones included; features are not among them.

    Every image is read: `note` is told now and then which share was looked at.
    """
    images = data.images[sampled_rows(data)]
    small_NTTC = thumbnails(images)
    channels = images.reshape(-1, images.shape[-1]) / 255.0
    summary = DataSummary(
        images=len(data),
        histogram=data.histogram(),
        sampled=len(images),
        mean=_rounded(channels.mean(0)),
        deviation=_rounded(channels.std(0)),
        mean_image=_rounded(small_NTTC.mean(0)),
    )
    gray = small_NTTC.mean(-1).reshape(len(images), -1)
    keys = SeenImages.chosen(data.images, np.arange(len(data), dtype=np.int64), note)
    spread = moments(gray) if len(gray) > 1 else None
    return summary, DataTraces(data.image_size, data.channels, keys, spread)


def thumbnails(images: Images) -> Floats:
    """Return (N, T, T, C) from 0 to 1: means over T × T fields of images (N, H, H, C); smaller ones are enlarged."""
    edges = np.arange(THUMBNAIL_SIDE) * images.shape[1] // THUMBNAIL_SIDE
    if images.shape[1] < THUMBNAIL_SIDE:
        images = images[:, edges[:, None], edges]
        edges = np.arange(THUMBNAIL_SIDE)
    side = images.shape[1]
    lengths = np.diff([*edges, side])
    rows = np.add.reduceat(images, edges, axis=1, dtype=np.int64)
    sums = np.add.reduceat(rows, edges, axis=2)
    means: Floats = sums / (lengths[:, None, None] * lengths[None, :, None] * 255.0)
    return means


def _rounded(values: Floats) -> Any:
    return values.round(DIGITS).tolist()
