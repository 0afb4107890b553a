"""The table beside a shard's archive: one row an image, in Parquet."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pixmill.errors import CorruptFile
from storage.choices import Choice, Choices, choice_columns, choice_types
from storage.markers import ShardMeta

METADATA_PREFIX = "pixmill."
PLAIN_COLUMNS = 9  # those of every manifest
KEY_DIGITS = 9  # at least

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Edit:
    """What was done to make one image of another; a source of edited images has its number alone."""

    source: int  # number of the image that was changed: in its data set, or of the series of the seed
    other: int | None = None  # number of the image that it was brought nearer to, or takes its style from
    target: str | None = None  # the attribute, or the class
    strength: float | None = None  # along the direction; of a way between two images, the share that lies behind


@dataclass(frozen=True, slots=True)
class ShardRow:
    """One image of a shard."""

    index: int  # in the whole data set
    key: str  # member name in the archive, without its ending
    seed: int
    label: int | None  # class number
    sha256: bytes  # 32 bytes, of the PNG file
    offset: int  # of the PNG file in the archive, bytes
    size: int  # of the PNG file, bytes
    width: int  # pixels
    height: int
    edit: Edit | None = None
    choice: Choice | None = None


@dataclass(frozen=True)
class ManifestBlock:
    """Consecutive rows as columns, all of the same length."""

    first_index: int
    seeds: Integers
    labels: Integers | None
    digests: Sequence[bytes]
    offsets: Sequence[int]
    sizes: Sequence[int]
    edits: Sequence[Edit] | None = None
    choices: Choices | None = None


def image_key(index: int) -> str:
    """Member name of image `index`, without its ending."""
    return f"{index:0{KEY_DIGITS}d}"


def manifest_bytes(
    blocks: Sequence[ManifestBlock], width: int, height: int, meta: ShardMeta, encoder: Mapping[str, str]
) -> bytes:
    """Parquet file of the rows in `blocks`; the same rows and metadata give the same bytes.

    Integers are stored as differences, hashes plain: about 35 bytes a row, 32 of them the hash.
    """
    import pyarrow as pa

    edits, choices = _edits(blocks), choice_columns([block.choices for block in blocks])
    columns = _columns(blocks, width, height) | edits | choices
    schema = _schema(edited=bool(edits), chosen=bool(choices)).with_metadata(_metadata(meta, encoder))
    return _packed(pa.table([_column(columns[field.name], field.type) for field in schema], schema=schema))


def _column(values: Any, kind: Any) -> Any:
    import pyarrow as pa

    return values if isinstance(values, pa.Array) else pa.array(values, kind)


def retold_manifest(
    path: Path,
    meta: ShardMeta,
    encoder: Mapping[str, str],
    digests: Sequence[bytes],
    offsets: Sequence[int],
    sizes: Sequence[int],
) -> bytes:
    """Parquet file of the rows in another one, for the same images stored in another way.

    Raises CorruptFile as read_manifest does.
    """
    import pyarrow as pa

    table = read_table(path)
    for name, values in (("sha256", digests), ("offset", offsets), ("size", sizes)):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(place), pa.array(values, table.schema.field(place).type))
    return _packed(table.replace_schema_metadata(_metadata(meta, encoder)))


def _packed(table: Any) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    encoding = {field.name: _encoding(field.type) for field in table.schema}
    pq.write_table(
        table, sink, compression="zstd", use_dictionary=False, column_encoding=encoding, write_statistics=["index"]
    )
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


def _encoding(kind: Any) -> str:
    import pyarrow as pa

    if pa.types.is_integer(kind):
        return "DELTA_BINARY_PACKED"
    return "DELTA_BYTE_ARRAY" if pa.types.is_string(kind) else "PLAIN"


def read_manifest(path: Path, name: str | None = None) -> list[ShardRow]:
    """Rows of a Parquet table that manifest_bytes made; raises CorruptFile if it is missing, damaged or another's.

    Errors name the path, or what people know the file by.
    """
    table = read_table(path, name)
    edited, chosen = ("source" in table.schema.names, "candidate" in table.schema.names)
    rows = zip(*table.to_pydict().values(), strict=True)
    return [_row(values, edited=edited, chosen=chosen) for values in rows]


def read_table(path: Path, name: str | None = None) -> Any:
    """The same rows as a pyarrow Table; raises CorruptFile as read_manifest does."""
    table = _read_columns(path, None, name or str(path))
    known = [_schema(), _schema(edited=True), _schema(chosen=True)]
    if not any(table.schema.equals(schema) for schema in known):
        raise CorruptFile(f"{name or path} has other columns than a manifest: {table.schema.names}")
    return table


def read_hashes(path: Path) -> Any:
    """The column of hashes alone, a pyarrow ChunkedArray of 32 bytes each.  Raises CorruptFile."""
    return _read_columns(path, ["sha256"], str(path)).column("sha256")


def _read_columns(path: Path, columns: list[str] | None, name: str) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            return file.read(columns, use_threads=False)
    except FileNotFoundError as error:
        raise CorruptFile(f"{name} is missing", hint="make the shard again") from error
    except (pa.ArrowException, OSError) as error:
        raise CorruptFile(f"{name} is no readable Parquet file: {error}", hint="make the shard again") from error


def _row(values: tuple[Any, ...], *, edited: bool, chosen: bool) -> ShardRow:
    plain, extra = values[:PLAIN_COLUMNS], values[PLAIN_COLUMNS:]
    facts: tuple[Any, ...] = (Edit(*extra) if edited else None, Choice(*extra) if chosen else None)
    return ShardRow(*plain, *facts)


def read_metadata(path: Path) -> dict[str, str]:
    """Metadata of a manifest, without the prefix of its keys; raises CorruptFile if it cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_schema(path).metadata
    except (pa.ArrowException, OSError) as error:
        raise CorruptFile(f"{path} is no readable Parquet file: {error}") from error
    texts = {key.decode(): value.decode() for key, value in metadata.items()}
    return {key.removeprefix(METADATA_PREFIX): text for key, text in texts.items() if key.startswith(METADATA_PREFIX)}


def _schema(*, edited: bool = False, chosen: bool = False) -> Any:
    import pyarrow as pa

    whole, small = pa.int64(), pa.int32()
    names_and_types = [
        ("index", whole), ("key", pa.string()), ("seed", whole), ("label", small), ("sha256", pa.binary(32)),
        ("offset", whole), ("size", small), ("width", small), ("height", small),
    ]  # fmt: skip
    what_was_done = [("source", whole), ("other", whole), ("target", pa.string()), ("strength", pa.float64())]
    return pa.schema(names_and_types + (what_was_done if edited else []) + (choice_types() if chosen else []))


def _edits(blocks: Sequence[ManifestBlock]) -> dict[str, Any]:
    """The columns of what was done; none unless all images are edited ones."""
    if any(block.edits is None for block in blocks):
        return {}
    edits = [edit for block in blocks for edit in block.edits or ()]
    return {field.name: [getattr(edit, field.name) for edit in edits] for field in fields(Edit)}


def _columns(blocks: Sequence[ManifestBlock], width: int, height: int) -> dict[str, Any]:
    """What pyarrow makes columns of; never a Python object for each image where there are so many."""
    index = np.concatenate([np.arange(block.first_index, block.first_index + len(block.sizes)) for block in blocks])
    labelled = all(block.labels is not None for block in blocks)
    labels = [block.labels for block in blocks if block.labels is not None]
    return {
        "index": index,
        "key": _keys(index),
        "seed": np.concatenate([block.seeds for block in blocks]),
        "label": np.concatenate(labels) if labelled else [None] * len(index),
        "sha256": _digests([digest for block in blocks for digest in block.digests]),
        "offset": np.concatenate([np.asarray(block.offsets, np.int64) for block in blocks]),
        "size": np.concatenate([np.asarray(block.sizes, np.int64) for block in blocks]),
        "width": np.full(len(index), width),
        "height": np.full(len(index), height),
    }


def _keys(index: Integers) -> Any:
    """The keys of images (N,), as `image_key` writes each."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.utf8_lpad(pc.cast(pa.array(index), pa.string()), KEY_DIGITS, "0")


def _digests(digests: Sequence[bytes]) -> Any:
    import pyarrow as pa

    return pa.Array.from_buffers(pa.binary(32), len(digests), [None, pa.py_buffer(b"".join(digests))])


def _metadata(meta: ShardMeta, encoder: Mapping[str, str]) -> dict[str, str]:
    values = {
        "checkpoint_sha256": meta.checkpoint_sha256,
        "precision": meta.precision,
        "seed": str(meta.seed),
        "class_names": json.dumps(list(meta.class_names), ensure_ascii=False),
        "encoder": encoder["name"],
        "encoder_version": encoder["version"],
    }
    for name in ("animation", "origin", "edit", "choice"):
        facts = getattr(meta, name)
        if facts is not None:
            values[name] = json.dumps(dict(facts), sort_keys=True)
    return {METADATA_PREFIX + key: value for key, value in values.items()}
