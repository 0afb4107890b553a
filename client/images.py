"""The tables and the images of a data set, shard by shard."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pixmill.errors import NotFound

if TYPE_CHECKING:
    from PIL.Image import Image

    from storage.places import Place
    from storage.records import ShardRecord


def shard_tables(place: "Place", records: "Iterable[ShardRecord]") -> Iterator[Any]:
    """The pyarrow Table of each shard, in order.  Raises CorruptFile."""
    from storage.manifest import read_table
    from storage.places import at_hand, named

    for record in in_order(records):
        path = at_hand(place, record.number, "parquet") / record.parquet
        yield read_table(path, named(place, record.number, record.parquet)).replace_schema_metadata(None)


def stored_images(
    place: "Place", records: "Sequence[ShardRecord]", indices: Iterable[int] | None
) -> "Iterator[tuple[int, str | None, Image]]":
    """Number, class and picture of each image, or of those asked for.  Raises NotFound or CorruptFile."""
    from PIL import Image

    from storage.shards import decode_row, read_marker, read_shard

    wanted = None if indices is None else set(indices)
    if wanted is not None:
        require_known(records, wanted)
    for record in in_order(records):
        here = None if wanted is None else {index for index in wanted if has_image(record, index)}
        if here is not None and not here:
            continue
        marker = read_marker(place, record.number)
        names = marker.meta.class_names
        for row, file in read_shard(place, record.number, here):
            pixels = decode_row(row, file, marker)
            picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
            yield row.index, None if row.label is None or not names else names[row.label], picture


def require_known(records: "Iterable[ShardRecord]", indices: Collection[int]) -> None:
    """Raise NotFound for a number that no image has."""
    total = sum(record.count for record in records)
    unknown = next((index for index in indices if not 0 <= index < total), None)
    if unknown is not None:
        raise NotFound(f"there is no image {unknown}", hint=f"the images are 0 to {total - 1:,}")


def has_image(record: "ShardRecord", index: int) -> bool:
    """Whether the shard holds the image of that number."""
    return record.first_index <= index < record.first_index + record.count


def in_order(records: "Iterable[ShardRecord]") -> "list[ShardRecord]":
    """The shards by number."""
    return sorted(records, key=lambda record: record.number)
