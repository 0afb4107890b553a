"""The commit marker of a shard: a small JSON file, written last, that says what the shard is made of."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from pixmill.errors import CorruptFile
from storage.atomic import write_json
from storage.faults import named_faults
from storage.places import Place, at_hand, named
from storage.records import ShardRecord, shard_stem

FORMAT = "pixmill-shard"
VERSION = 1


@dataclass(frozen=True)
class ShardMeta:
    """What the images were made from; it goes into every shard, so that a shard explains itself."""

    checkpoint_sha256: str
    precision: str  # fp32, bf16: other precisions give other pixels
    seed: int  # of the job
    class_names: tuple[str, ...] = ()  # empty for a model without classes
    label_files: bool = False  # a member KEY.cls with the class number beside every image
    animation: Mapping[str, int] | None = None  # how the images are frames; None: each stands for itself
    origin: Mapping[str, Any] | None = None  # the images that these were made of; None: of none
    edit: Mapping[str, Any] | None = None  # what was done to images; the rows say to which, and how far
    choice: Mapping[str, Any] | None = None  # by what each image was chosen; the rows say how

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """SHA-256 of every model that made some of the images."""
        return tuple((self.choice or {}).get("checkpoints", (self.checkpoint_sha256,)))

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        values = asdict(self) | {"class_names": list(self.class_names)}
        return {key: value for key, value in values.items() if value is not None}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Inverse of to_json; raises TypeError or KeyError for anything else."""
        return cls(**{**value, "class_names": tuple(value["class_names"])})


@dataclass(frozen=True)
class ShardMarker:
    """Everything about a shard but its images; `timings` alone may differ between two runs."""

    record: ShardRecord
    meta: ShardMeta
    height: int  # pixels
    width: int
    channels: int
    encoder: str
    encoder_version: str
    timings: Mapping[str, float] = field(default_factory=dict, compare=False)  # seconds

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object; its `sha256` covers the reproducible part, `shard`."""
        shard = {
            "record": self.record.to_json(),
            "meta": self.meta.to_json(),
            "image": {"height": self.height, "width": self.width, "channels": self.channels},
            "encoder": {"name": self.encoder, "version": self.encoder_version},
        }
        head = {"format": FORMAT, "version": VERSION}
        return head | {"shard": shard, "sha256": _digest(shard), "timings": dict(self.timings)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Inverse of to_json; raises CorruptFile for another format or version, or if the digest does not fit."""
        if (value.get("format"), value.get("version")) != (FORMAT, VERSION):
            raise CorruptFile(f"no {FORMAT} marker of version {VERSION}")
        try:
            shard = value["shard"]
            if _digest(shard) != value["sha256"]:
                raise CorruptFile("the marker's content does not fit its digest")
            return cls(
                record=ShardRecord.from_json(shard["record"]),
                meta=ShardMeta.from_json(shard["meta"]),
                **shard["image"],
                encoder=shard["encoder"]["name"],
                encoder_version=shard["encoder"]["version"],
                timings=value["timings"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptFile(f"the marker is incomplete: {error!r}") from error


def write_marker(folder: Path, marker: ShardMarker) -> Path:
    """Write the marker of a shard, which makes the shard complete; raises DiskFull or StorageError."""
    path = folder / marker.record.marker
    write_json(path, marker.to_json())
    return path


def read_marker(place: Place, number: int) -> ShardMarker:
    """Read the marker of shard `number`; raises CorruptFile if it is missing or damaged."""
    file = f"{shard_stem(number)}.json"
    path, known = at_hand(place, number, "marker") / file, named(place, number, file)
    try:
        with named_faults(path, "read"):
            text = path.read_bytes() if path.exists() else None
        if text is None:
            raise CorruptFile("the marker is missing")
        marker = ShardMarker.from_json(_object(text))
    except CorruptFile as error:
        raise CorruptFile(f"{known}: {error.message}", hint="make the shard again") from error
    if marker.record.number != number:
        raise CorruptFile(f"{known} belongs to shard {marker.record.number}", hint="make the shard again")
    return marker


def find_markers(folder: Path) -> list[ShardMarker]:
    """Markers of all complete shards in `folder`, by number; of those whose marker is damaged nothing is known."""
    with named_faults(folder, "read"):
        numbers = [path.stem.removeprefix("shard-") for path in folder.glob("shard-[0-9]*.json")]
    found = []
    for number in sorted(int(text) for text in numbers if text.isdecimal()):
        with suppress(CorruptFile):
            found.append(read_marker(folder, number))
    return found


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CorruptFile(f"the marker is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise CorruptFile("the marker is no JSON object")
    return value


def _digest(shard: Mapping[str, Any]) -> str:
    compact = json.dumps(shard, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(compact.encode()).hexdigest()
