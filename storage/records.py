"""Shards as numbers and digests: which images belong to which, and what the database keeps of each."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from pixmill.errors import CorruptFile, UserError

MAX_SHARD_IMAGES = 10_000
MAX_SHARD_BYTES = 256_000_000  # of pixels: the files are smaller

WEBDATASET = "webdataset"
FILES_FOLDER = "files"
# What holds the images, by the name of the format.
CONTAINERS = {
    WEBDATASET: "{stem}.tar",
    "parquet": "{stem}.images.parquet",
    "files": FILES_FOLDER,
    "raw": "{stem}.npy",
}
ENDINGS = frozenset({"png", "webp", "jpg", "pixels"})

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class ShardRange:
    """The images of one shard: `count` of them from `first_index` on."""

    number: int
    first_index: int
    count: int


@dataclass(frozen=True)
class ShardRecord:
    """A finished shard as the database keeps it: enough to find its files and to prove them whole.

    What is called `tar` is the archive of the images, or what another format has in its place.
    """

    number: int
    first_index: int
    count: int
    tar_sha256: str  # 64 hexadecimal digits
    tar_bytes: int
    parquet_sha256: str
    parquet_bytes: int
    format: str = WEBDATASET  # how the images are stored
    ending: str = "png"  # of the name of an image

    @property
    def tar(self) -> str:
        """Name of what holds the images: a tar, unless another format was asked for."""
        return CONTAINERS[self.format].format(stem=shard_stem(self.number))

    @property
    def parquet(self) -> str:
        """File name of the table with one row an image."""
        return f"{shard_stem(self.number)}.parquet"

    @property
    def marker(self) -> str:
        """File name of the marker, written last, that makes the shard complete."""
        return f"{shard_stem(self.number)}.json"

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object, with the file names for readers that do not know how they are made."""
        values = {"version": 1, "tar": self.tar, "parquet": self.parquet} | asdict(self)
        # Left out as long as nothing else is meant: such records are as they were before there was a choice.
        plain = {name for name in ("format", "ending") if values[name] == self.__dataclass_fields__[name].default}
        return {name: value for name, value in values.items() if name not in plain}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Inverse of to_json; raises CorruptFile for anything that to_json does not write."""
        fields = {key: value[key] for key in cls.__dataclass_fields__ if key in value}
        try:
            record = cls(**fields)
            is_known = record._is_plausible() and record.to_json() == dict(value)
        except TypeError as error:
            raise CorruptFile(f"no shard record: {error}") from error
        if not is_known:
            raise CorruptFile(f"no shard record of this version: {dict(value)}")
        return record

    def _is_plausible(self) -> bool:
        numbers = (self.number, self.first_index, self.count, self.tar_bytes, self.parquet_bytes)
        digests = (self.tar_sha256, self.parquet_sha256)
        whole = all(type(number) is int and number >= 0 for number in numbers)
        known = self.format in CONTAINERS and self.ending in ENDINGS
        return known and whole and all(isinstance(digest, str) and _SHA256.fullmatch(digest) for digest in digests)


def shard_stem(number: int) -> str:
    """File name of shard `number` without its ending."""
    return f"shard-{number:06d}"


def shard_plan(count: int, shard_size: int) -> list[ShardRange]:
    """Cut `count` images into shards: shard s holds the indexes [s·S, min(count, (s + 1)·S)) for S = shard_size.

    Raises UserError for a negative count or a shard size below 1.
    """
    if count < 0 or shard_size < 1:
        raise UserError(f"cannot cut {count} images into shards of {shard_size}", hint="ask for at least one of each")
    starts = range(0, count, shard_size)
    return [ShardRange(number, first, min(shard_size, count - first)) for number, first in enumerate(starts)]


def default_shard_size(image_size: int, channels: int) -> int:
    """Images in a shard: 10,000 square images of `image_size` pixels a side, fewer if they exceed 256 MB of pixels."""
    return max(1, min(MAX_SHARD_IMAGES, MAX_SHARD_BYTES // (image_size * image_size * channels)))
