"""A data set, put together from shards that lie in the folders of the attempts which made them."""

import errno
import os
import secrets
import shutil
from pathlib import Path

from pixmill.errors import CorruptFile
from storage.atomic import TEMPORARY_SUFFIX, AtomicFile, sha256_file, sync_folder
from storage.faults import fault, named_faults
from storage.formats.base import NamedDigest
from storage.formats.table import FORMATS
from storage.index import DatasetIndex, read_dataset_index, write_dataset_index
from storage.markers import read_marker
from storage.records import ShardRecord
from storage.verify import VerifyReport, verify_output

__all__ = [
    "DatasetIndex",
    "VerifyReport",
    "link_shard",
    "place_file",
    "read_dataset_index",
    "verify_output",
    "write_dataset_index",
]

# Another file system, one without hard links, a file with too many of them, a file of another owner.
_NO_LINK = frozenset({errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EPERM})


def link_shard(record: ShardRecord, source_folder: Path, output_folder: Path) -> None:
    """Make a shard appear in `output_folder`: a hard link if the file system can, else a copy whose hash is checked.

    Files that are there already with the right hash stay; others are replaced. Doing it twice, or in two processes at
    once, does no harm. Raises CorruptFile if the source is not the recorded shard, DiskFull if a copy finds no room.
    """
    files = _check_source(record, source_folder)
    with named_faults(output_folder):
        folders = {(output_folder / file.name).parent for file in files}
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
    stale = [file for file in files if not _holds(output_folder, source_folder, file.name, file.sha256)]
    marker = output_folder / record.marker
    if stale:
        with named_faults(marker, "replace"):  # a marker of the bytes before must not vouch for the new ones
            marker.unlink(missing_ok=True)
    for file in stale:
        place_file(source_folder / file.name, output_folder / file.name, file.sha256)
    marker_sha256 = sha256_file(source_folder / record.marker)
    if not _holds(output_folder, source_folder, record.marker, marker_sha256):
        place_file(source_folder / record.marker, marker, marker_sha256)
    with named_faults(output_folder):
        for upper in {upper for folder in folders for upper in (folder, *folder.parents)}:
            if upper.is_relative_to(output_folder):
                sync_folder(upper)


def _check_source(record: ShardRecord, folder: Path) -> list[NamedDigest]:
    """The files of a shard but its marker, all there."""
    if read_marker(folder, record.number).record != record:
        raise CorruptFile(f"{folder / record.marker} describes another shard than the one recorded")
    table = NamedDigest(record.parquet, record.parquet_sha256, record.parquet_bytes)
    files = [*FORMATS[record.format].files(folder, record), table]
    for file in files:
        path = folder / file.name
        found_bytes = path.stat().st_size if path.exists() else None
        if found_bytes != file.size_bytes:
            found = "is missing" if found_bytes is None else f"has {found_bytes:,} bytes"
            raise CorruptFile(f"{path} {found}, recorded {file.size_bytes:,} bytes", hint="make the shard again")
    return files


def _holds(folder: Path, source_folder: Path, name: str, sha256: str) -> bool:
    if not (folder / name).exists():
        return False
    return (folder / name).samefile(source_folder / name) or sha256_file(folder / name) == sha256


def place_file(source: Path, target: Path, sha256: str) -> None:
    """Let a file appear under another name in one step: a hard link if the file system can, else a checked copy."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(6)}{TEMPORARY_SUFFIX}")
    try:
        os.link(source, temporary)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise fault(error, target, "link") from error
        _copy(source, target, sha256)
        return
    with named_faults(target, "link"):
        temporary.replace(target)
        # Renaming one of two links to the same file does nothing: the other process was here first.
        temporary.unlink(missing_ok=True)


def _copy(source: Path, target: Path, sha256: str) -> None:
    with AtomicFile(target) as copy, named_faults(source, "read"), source.open("rb") as original:
        shutil.copyfileobj(original, copy.stream, 1024 * 1024)
        if copy.stream.digest().sha256 != sha256:
            raise CorruptFile(f"{source} has changed since it was recorded", hint="make the shard again")
