"""Restored images as files under the names of those that they were made of."""

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from pixmill.errors import CorruptFile, NotFound
from storage.atomic import write_atomic
from storage.markers import read_marker
from storage.places import Place
from storage.records import ShardRecord
from storage.shards import read_shard


def export_restored(
    output: Place, records: Sequence[ShardRecord], target: Path, progress: Callable[[int, int], None] | None = None
) -> tuple[int, int]:
    """Write each image of a restore job, checked by its hash, below `target` as PNG; gives their number and bytes.

    Raises NotFound when they were made of a data set, whose images have no names, CorruptFile when one is not as it was
    written, and DiskFull.
    """
    total, done, size_bytes = sum(record.count for record in records), 0, 0
    for record in records:
        names = _names(output, record.number)
        for name, (_row, content) in zip(names, read_shard(output, record.number), strict=True):
            path = target / _inside(name)
            write_atomic(path, content)
            done, size_bytes = done + 1, size_bytes + len(content)
            if progress is not None:
                progress(done, total)
    return done, size_bytes


def _names(output: Place, number: int) -> list[str]:
    origin = read_marker(output, number).meta.origin or {}
    if "files" not in origin:
        raise NotFound(f"the images in {output} were made of a data set: they have no names", hint="take its archives")
    return [str(name) for name, _sha256 in origin["files"]]


def _inside(name: str) -> PurePosixPath:
    """The name as that of a PNG file, its own ending kept where that was another: `a.jpg.png` beside `a.png`."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise CorruptFile(f"{name!r} leads out of the folder")
    return path if path.suffix.lower() == ".png" else path.with_name(f"{path.name}.png")
