"""What lies below runs/ that no row needs, and half-written files of data sets."""

import time
from collections.abc import Iterator
from pathlib import Path

from cli.doctor.collection import Collection
from cli.doctor.findings import Finding, ok, warning
from cli.doctor.tally import STRANGER, YOUNG, Tally
from cli.formatting import plural, size
from db.engine import Database
from storage.atomic import TEMPORARY_SUFFIX
from storage.garbage import Standing, Usage, Waste

PART = "runs"
GRACE_SECONDS = 3600.0
MUCH_BYTES = 1_000_000_000


def examine_garbage(database: Database, root: Path) -> Iterator[Finding]:
    """Walk through all of runs/ and outputs/.  Raises DatabaseUnreachable, PermissionDenied or StorageError."""
    tally = Tally(GRACE_SECONDS)
    for sight in Collection(database, root, GRACE_SECONDS).walk():
        tally.add(sight)
    yield ok(PART, _summary(tally))
    if tally.knows_none:
        detail = f"the database knows not one of the attempts below {root / 'runs'}: do the two belong together?"
        yield warning(PART, detail, "pixmill config show --sources")
    elif tally.waste.size_bytes >= MUCH_BYTES or tally.goes[Waste.ORPHAN].folders:
        yield warning(PART, f"nothing needs {_waste(tally)}", "pixmill gc plan")
    elif tally.waste.files:
        yield ok(PART, f"nothing needs {_waste(tally)}; see pixmill gc plan")
    yield from _examine_outputs(root)


def _summary(tally: Tally) -> str:
    kept = sum((line.usage for line in tally.stays.values()), Usage())
    words = [f"{tally.stays[name].folders:,} {name}" for name in (Standing.LIVE, Standing.PUBLISHED, Standing.LATEST)]
    others = [f"{tally.stays[name].folders:,} {name}" for name in (YOUNG, STRANGER) if tally.stays[name].folders]
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
