"""What lies below runs/ that no row needs, half-written files of data sets, and whether the quota is exceeded."""

import time
from collections.abc import Iterator
from pathlib import Path

from cli.doctor.bucketcollection import AnyCollection, collections_of
from cli.doctor.findings import Finding, ok, warning
from cli.doctor.later import Later, examine_later
from cli.doctor.tally import LATER, STRANGER, UNCLAIMED, YOUNG, Tally, strange
from client.quota import REMEDY, measure
from client.wording import plural, size
from db.engine import Database
from pixmill.settings import Settings
from storage.atomic import TEMPORARY_SUFFIX
from storage.garbage.verdicts import Standing, Waste
from storage.garbage.weighing import Usage
from storage.s3.bucket import is_url

PART, BUCKET_PART, QUOTA_PART = "runs", "bucket", "quota"
GRACE_SECONDS = 3600.0
MUCH_BYTES = 1_000_000_000


def examine_garbage(database: Database, settings: Settings) -> Iterator[Finding]:
    """Walk through runs/, outputs/ and the bucket.

    Raises DatabaseUnreachable, PermissionDenied or StorageError, and as `Bucket` does.
    """
    later = Later()
    for place, collection in collections_of(database, settings, GRACE_SECONDS).items():
        yield from _examine_place(place, collection, later)
    later.look_at_root(database, settings.storage_root)
    yield from examine_later(later)
    yield from _examine_outputs(settings.storage_root)
    fill = measure(settings)
    if fill is not None:
        yield warning(QUOTA_PART, str(fill), REMEDY) if fill.excess_bytes else ok(QUOTA_PART, str(fill))


def _examine_place(place: str, collection: AnyCollection, later: Later) -> Iterator[Finding]:
    part = BUCKET_PART if is_url(place) else PART
    tally = Tally(GRACE_SECONDS)
    for sight in collection.walk():
        tally.add(sight)
        later.look(sight)
    yield ok(part, _summary(tally))
    if tally.knows_none:
        yield warning(part, f"the database {strange(place)}", "pixmill config show --sources")
    elif tally.waste.size_bytes >= MUCH_BYTES or tally.goes[Waste.ORPHAN].folders:
        yield warning(part, f"nothing needs {_waste(tally)}", "pixmill gc plan")
    elif tally.waste.files:
        yield ok(part, f"nothing needs {_waste(tally)}; see pixmill gc plan")


def _summary(tally: Tally) -> str:
    kept = Usage.total(line.usage for line in tally.stays.values())
    words = [f"{tally.stays[name].folders:,} {name}" for name in (Standing.LIVE, Standing.PUBLISHED, Standing.LATEST)]
    others = [
        f"{tally.stays[name].folders:,} {name}"
        for name in (LATER, UNCLAIMED, YOUNG, STRANGER)
        if tally.stays[name].folders
    ]
    return f"attempts: {', '.join(words + others)}; {size(kept.size_bytes)} in use"


def _waste(tally: Tally) -> str:
    reasons = ", ".join(
        f"{reason} {size(line.usage.size_bytes)}" for reason, line in tally.goes.items() if line.folders
    )
    return f"{plural(tally.waste.files, 'file')}, {size(tally.waste.size_bytes)} ({reasons})"


def _examine_outputs(root: Path) -> Iterator[Finding]:
    cutoff = time.time() - GRACE_SECONDS
    files, size_bytes, first = 0, 0, None
    for path in (root / "outputs").glob(f"*/.*{TEMPORARY_SUFFIX}"):
        try:
            found = path.lstat()
        except FileNotFoundError:
            continue
        if found.st_mtime <= cutoff:
            files, size_bytes, first = files + 1, size_bytes + found.st_size, first or path
    if first is not None:
        detail = f"{plural(files, 'half-written file')}, {size(size_bytes)}, of killed writers, such as {first}"
        yield warning("outputs", detail, f"rm {first.parent}/.*{TEMPORARY_SUFFIX}")
