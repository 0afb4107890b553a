"""Labels of images in tar archives, as WebDataset lays them: KEY.png beside KEY.cls or KEY.json, KEY up to a dot.

Shards that pixmill made have their labels, and the names of the classes, in the Parquet table beside them too.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imagemodels.data.errors import BadImage
from imagemodels.errors import DataError

Label = int | str

JSON_KEYS = ("cls", "label", "class", "class_name")  # the first of them that a sample's JSON has is its label
LABEL_ENDINGS = ("cls", "json")
MAX_LABEL_BYTES = 1_000_000
MAX_TABLE_ROWS = 10_000_000  # of one shard; pixmill's have a million at most
MAX_TABLE_BYTES = 4_000_000_000
LONGEST_NAME = 100  # characters of a class
NO_LABEL = "no label: no .cls beside it holds a class, and no .json names one"

_NUMBER = re.compile(r"[0-9]{1,9}")


def sample_key(path: str) -> tuple[str, str]:
    """Return the key that a sample's members share, and what kind of member this is.

    >>> sample_key("train/00012.cls"), sample_key("00012.depth.PNG")
    (('train/00012', 'cls'), ('00012', 'png'))
    """
    folder, slash, name = path.rpartition("/")
    stem, _, ending = name.partition(".")
    return f"{folder}{slash}{stem}", ending.rpartition(".")[2].lower()


@dataclass
class ShardLabels:
    """The labels of one shard by the keys of its samples; a .cls counts more than a .json."""

    _by_json: dict[str, Label] = field(default_factory=dict)
    _by_cls: dict[str, Label] = field(default_factory=dict)

    def add(self, key: str, ending: str, content: bytes) -> None:
        """Take a member that may hold a label; one that holds none leaves its image without."""
        label = _label_of_text(content) if ending == "cls" else _label_of_json(content)
        if label is not None:
            (self._by_cls if ending == "cls" else self._by_json)[key] = label

    def add_table(self, prefix: str, labels: Mapping[str, int]) -> None:
        """Take the labels of the table beside the shard, where the shard itself has none; keys begin with prefix."""
        if not self._by_cls and not self._by_json:
            self._by_cls.update({prefix + key: label for key, label in labels.items()})

    def get(self, key: str) -> Label | None:
        """Return the label of a sample, or None."""
        return self._by_cls.get(key, self._by_json.get(key))


def _label_of_text(content: bytes) -> Label | None:
    return _label_of_name(content.decode(errors="replace").strip())


def _label_of_name(text: str) -> Label | None:
    if _NUMBER.fullmatch(text):
        return int(text)
    return text if 0 < len(text) <= LONGEST_NAME and text.isprintable() else None


def _label_of_json(content: bytes) -> Label | None:
    try:
        values = json.loads(content)
    except (ValueError, RecursionError):
        return None  # a description of another kind: the image counts as one without label
    found = next((values[name] for name in JSON_KEYS if name in values), None) if isinstance(values, dict) else None
    if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 10**9:
        return found
    return _label_of_name(found) if isinstance(found, str) else None


@dataclass(frozen=True)
class ShardTable:
    """What the Parquet table beside a shard says: labels by key, and the names of the classes."""

    labels: Mapping[str, int]
    class_names: tuple[str, ...]


def read_table(archive: Path) -> ShardTable | None:
    """Return the table beside an archive, or None when there is none with a key and a label an image.

    Raises BadImage when it is damaged.
    """
    path = archive.with_suffix(".parquet")
    if not path.is_file():
        return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            if not _has_labels(schema):
                return None
            _require_small(file.metadata)
            columns = file.read(columns=["key", "label"], use_threads=False).to_pydict()
        names = json.loads((schema.metadata or {}).get(b"pixmill.class_names", b"[]"))
        if not isinstance(names, list):
            raise ValueError("its classes are no list")
    except (pa.ArrowException, OSError, ValueError, RecursionError) as error:
        raise BadImage(f"{path}: the table of the shard cannot be read: {error}") from error
    labels = {key: label for key, label in zip(columns["key"], columns["label"], strict=True) if label is not None}
    return ShardTable(labels, tuple(map(str, names)))


def _has_labels(schema: Any) -> bool:
    import pyarrow as pa

    if any(schema.names.count(name) != 1 for name in ("key", "label")):
        return False
    return bool(pa.types.is_string(schema.field("key").type) and pa.types.is_integer(schema.field("label").type))


def _require_small(metadata: Any) -> None:
    """Raise ValueError for a table that would take more memory than that of any shard, as far as it says so itself."""
    unpacked = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
    if metadata.num_rows > MAX_TABLE_ROWS or unpacked > MAX_TABLE_BYTES:
        raise ValueError(f"it has {metadata.num_rows:,} rows and unpacks to {unpacked:,} bytes")


def name_classes(labels: Iterable[Label], class_names: tuple[str, ...]) -> dict[Label, str]:
    """Return the name of each label, in the order of the classes: by number, or by name where they have no number.

    Raises DataError when a number has no name although the shards name the classes.
    """
    known = set(labels)
    if not all(isinstance(label, int) for label in known):
        return {label: str(label) for label in sorted(known, key=str)}
    numbers = sorted(int(label) for label in known)
    if class_names and max(numbers, default=0) >= len(class_names):
        raise DataError(f"label {max(numbers)} is outside the {len(class_names)} classes that the shards name")
    return {number: class_names[number] if class_names else str(number) for number in numbers}


def promised_images(folder: Path) -> int | None:
    """Return how many images the index of a finished pixmill output promises, or None where there is no index."""
    path = folder / "dataset.json"
    try:
        index: Any = json.loads(path.read_bytes()) if path.is_file() else None
    except (OSError, ValueError, RecursionError) as error:
        raise BadImage(f"{path}: the index of the data set cannot be read: {error}") from error
    if not isinstance(index, dict) or index.get("format") != "pixmill-dataset":
        return None
    images = index.get("images")
    return images if isinstance(images, int) else None
