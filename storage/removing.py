"""Files of an output that nobody needs any more."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from storage.filesets import IMAGES_FOLDER, MANIFEST_FILE
from storage.garbage.folders import TRASH_PREFIX
from storage.garbage.removal import remove
from storage.garbage.verdicts import Scrap, Waste
from storage.garbage.weighing import Usage, usage_of
from storage.paths import Layout
from storage.records import ShardRecord

OUTPUTS = "outputs"


def output_scraps(layout: Layout, job_id: int, shards: Iterable[tuple[str, ShardRecord]]) -> list[Scrap]:
    """What a data set consists of: its folder, and its shards in the folders of attempts (root-relative)."""
    paths = {f"{OUTPUTS}/{job_id}"}
    for folder, record in shards:
        paths.update(f"{folder}/{name}" for name in (record.marker, record.parquet, record.tar))
    return _scraps(layout.root, sorted(paths))


def file_scraps(layout: Layout, manifest: Path) -> list[Scrap]:
    """What a set of image files consists of."""
    folder = layout.relative(manifest.parent)
    return _scraps(layout.root, [f"{folder}/{name}" for name in (MANIFEST_FILE, IMAGES_FOLDER)])


def path_scraps(layout: Layout, path: str) -> list[Scrap]:
    """One file, or one folder with all that is in it (root-relative); nothing where there is none.

    Raises PathEscape for a path that leads out of the root.
    """
    layout.resolve(path)
    return _scraps(layout.root, [path])


def remove_output(layout: Layout, scraps: Sequence[Scrap]) -> Usage:
    """Remove them, and what an interrupted removal has left; gives how much of `scraps` was there."""
    removed = remove(layout.root, scraps)
    left = [path.name for path in (layout.root / OUTPUTS).glob(f"{TRASH_PREFIX}*")]
    remove(layout.root, _scraps(layout.root, [f"{OUTPUTS}/{name}" for name in left]))
    return removed


def _scraps(root: Path, paths: Iterable[str]) -> list[Scrap]:
    scraps = [
        Scrap(parts=tuple(path.split("/")), waste=Waste.UNPUBLISHED, usage=usage_of(root / path)) for path in paths
    ]
    return [scrap for scrap in scraps if scrap.usage.files or (root / scrap.path).exists()]
