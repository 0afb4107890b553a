"""What a data set says of its format: to other programs, and in its index."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from storage.atomic import write_atomic
from storage.encoders import LOSSY_ENDINGS
from storage.index import DatasetIndex
from storage.records import CONTAINERS, WEBDATASET, ShardRecord

CARD_FILE = "README.md"


def stored_as(records: Sequence[ShardRecord]) -> dict[str, Any]:
    """How the images are stored, as far as it is not as usual: the format, and whether pixels were lost."""
    formats = sorted({record.format for record in records} - {WEBDATASET})
    is_lossy = any(record.ending in LOSSY_ENDINGS for record in records)
    return ({"format": formats[0]} if formats else {}) | ({"lossy": True} if is_lossy else {})


def write_card(folder: Path, index: DatasetIndex) -> None:
    """Beside tables of images, write the card by which `datasets.load_dataset(FOLDER)` knows which files those are.

    Raises DiskFull, PermissionDenied or StorageError.
    """
    if index.details.get("format") != "parquet":
        return
    paths = [f"    path: {CONTAINERS['parquet'].format(stem='shard-*')}"]
    if index.folders:
        tables = (f"{below}/{shard.tar}" for below, shard in zip(index.folders, index.shards, strict=True))
        paths = ["    path:", *(f"    - {table}" for table in tables)]
    lines = [
        "---",
        f"pretty_name: {json.dumps(index.name, ensure_ascii=False)}",
        "configs:",
        "- config_name: default",
        "  data_files:",
        "  - split: train",
        *paths,
        "---",
        "",
        f"{index.images:,} images of {index.width} × {index.height} pixels. Beside each table of images lies one with",
        "the same rows: seed, label, size and SHA-256 of each image.",
        "",
    ]
    write_atomic(folder / CARD_FILE, "\n".join(lines).encode())
