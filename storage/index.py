"""dataset.json: what a finished data set consists of and what it was made from."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from pixmill.errors import CorruptFile, StorageError
from storage.atomic import write_json
from storage.faults import named_faults
from storage.markers import ShardMarker, read_marker
from storage.places import INDEX_FILE, BucketDataset, Place
from storage.records import ShardRecord

FORMAT = "pixmill-dataset"
VERSION = 1

_FOLDER = re.compile(r"[1-9][0-9]*/[1-9][0-9]*")  # of the attempt that made a shard


@dataclass(frozen=True)
class DatasetIndex:
    """A finished data set; where shards differ (a model that was mixed, another machine's encoder) all are listed."""

    name: str
    height: int  # pixels
    width: int
    channels: int
    class_names: tuple[str, ...]
    checkpoints: tuple[str, ...]  # SHA-256 of each
    precisions: tuple[str, ...]
    seeds: tuple[int, ...]
    encoders: tuple[str, ...]
    shards: tuple[ShardRecord, ...]
    details: Mapping[str, Any] = field(default_factory=dict)  # what the caller wants to be remembered
    folders: tuple[str, ...] = ()  # of each shard, seen from dataset.json; empty: all lie beside it

    @property
    def images(self) -> int:
        """Number of images."""
        return sum(record.count for record in self.shards)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "name": self.name,
            "images": self.images,
            "image": {"height": self.height, "width": self.width, "channels": self.channels},
            "made_from": {key: list(getattr(self, key)) for key in ("checkpoints", "precisions", "seeds", "encoders")},
            "class_names": list(self.class_names),
            "shards": self._shards_json(),
            "details": dict(self.details),
        }

    def _shards_json(self) -> list[dict[str, Any]]:
        if not self.folders:
            return [record.to_json() for record in self.shards]
        return [
            {"folder": folder, **record.to_json()} for folder, record in zip(self.folders, self.shards, strict=True)
        ]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Inverse of to_json; raises CorruptFile for anything else."""
        try:
            index = cls(
                name=value["name"],
                **value["image"],
                class_names=tuple(value["class_names"]),
                checkpoints=tuple(value["made_from"]["checkpoints"]),
                precisions=tuple(value["made_from"]["precisions"]),
                seeds=tuple(value["made_from"]["seeds"]),
                encoders=tuple(value["made_from"]["encoders"]),
                shards=tuple(ShardRecord.from_json(_without_folder(record)) for record in value["shards"]),
                details=value["details"],
                folders=_folders(value["shards"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CorruptFile(f"no {FORMAT} index: {error!r}") from error
        if index.to_json() != dict(value):
            raise CorruptFile(f"no {FORMAT} index of version {VERSION}")
        return index


def write_dataset_index(
    output_folder: Path,
    records: Sequence[ShardRecord],
    *,
    name: str,
    details: Mapping[str, Any] | None = None,
    place: Place | None = None,
) -> DatasetIndex:
    """Write dataset.json for shards that lie in `output_folder`, or in `place`; equal shards, equal bytes.

    Raises StorageError if the shards leave a gap, overlap or hold images of several sizes, CorruptFile if a marker is
    missing or belongs to another shard.
    """
    ordered = tuple(sorted(records, key=lambda record: record.number))
    gaps = range_problems(ordered)
    if gaps or not ordered:
        raise StorageError(f"no complete data set in {output_folder}: {'; '.join(gaps) or 'it has no shards'}")
    place = place or output_folder
    markers = [_marker_of(place, record) for record in ordered]
    index = _index(name, ordered, markers, details or {})
    if isinstance(place, BucketDataset):
        index = replace(index, folders=tuple(place.below(record.number) for record in ordered))
    write_json(output_folder / INDEX_FILE, index.to_json())
    return index


def read_dataset_index(output_folder: Path) -> DatasetIndex:
    """Read dataset.json; raises CorruptFile if it is missing or damaged."""
    path = output_folder / INDEX_FILE
    if not path.exists():
        raise CorruptFile(f"{path} is missing", hint="it is written when the last shard is in")
    with named_faults(path, "read"):
        text = path.read_bytes()
    try:
        return DatasetIndex.from_json(json.loads(text))
    except (ValueError, TypeError, RecursionError, CorruptFile) as error:
        raise CorruptFile(f"{path}: {error}") from error


def range_problems(ordered: Sequence[ShardRecord]) -> list[str]:
    """One line for every gap, overlap or double number in shards that are sorted by number; they start at image 0."""
    problems = []
    next_number = next_index = 0
    for record in ordered:
        if record.number != next_number:
            problems.append(f"shard {record.number} follows where shard {next_number} belongs")
        if record.first_index != next_index:
            problems.append(f"shard {record.number} begins at image {record.first_index}, expected {next_index}")
        next_number, next_index = record.number + 1, record.first_index + record.count
    return problems


def _folders(shards: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Where shards lie, none or all of them; raises ValueError for anything else."""
    folders = tuple(shard["folder"] for shard in shards if "folder" in shard)
    wrong = [folder for folder in folders if not _FOLDER.fullmatch(folder)]
    if wrong:
        raise ValueError(f"a shard lies in {wrong[0]!r}")
    if folders and len(folders) < len(shards):
        raise ValueError(f"{len(folders)} of {len(shards)} shards say where they lie")
    return folders


def _without_folder(shard: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in shard.items() if name != "folder"}


def _marker_of(place: Place, record: ShardRecord) -> ShardMarker:
    marker = read_marker(place, record.number)
    if marker.record != record:
        raise CorruptFile(f"{place}/{record.marker} describes other bytes than the record of shard {record.number}")
    return marker


def _index(
    name: str, records: tuple[ShardRecord, ...], markers: Sequence[ShardMarker], details: Mapping[str, Any]
) -> DatasetIndex:
    shapes = {(marker.height, marker.width, marker.channels) for marker in markers}
    class_names = {marker.meta.class_names for marker in markers}
    if len(shapes) > 1 or len(class_names) > 1:
        raise StorageError(f"the shards differ in image shape {sorted(shapes)} or class names {sorted(class_names)}")
    height, width, channels = shapes.pop()
    return DatasetIndex(
        name=name,
        height=height,
        width=width,
        channels=channels,
        class_names=class_names.pop(),
        checkpoints=tuple(sorted({digest for marker in markers for digest in marker.meta.checkpoints})),
        precisions=tuple(sorted({marker.meta.precision for marker in markers})),
        seeds=tuple(sorted({marker.meta.seed for marker in markers})),
        encoders=tuple(sorted({f"{marker.encoder} {marker.encoder_version}" for marker in markers})),
        shards=records,
        details=details,
    )
