"""The pages of pipeline runs, where their readers look for them: one for each run, and the last of each pipeline."""

import re
from pathlib import Path

from storage.atomic import sha256_file, sync_folder
from storage.faults import named_faults
from storage.outputs import place_file
from storage.paths import Layout

LATEST = "latest.html"

_PAGE = re.compile(r"run-([0-9]{1,19})\.html")


def publish_page(layout: Layout, source: str, pipeline: str, run_id: int) -> str:
    """Give the page at `source`, of an attempt, its place among those of its pipeline; gives that place.

    Both are relative to the storage root. A page that is there already is replaced in one step, and `latest.html` is
    the page of the newest run, whichever of several runs is published last. Doing it again does no harm. Raises
    PathEscape, DiskFull or StorageError.
    """
    target = layout.run_page(pipeline, run_id)
    page = layout.resolve(source)
    with named_faults(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    place_file(page, target, sha256_file(page))
    _renew_latest(target.parent)
    return layout.relative(target)


def _renew_latest(folder: Path) -> None:
    """Let `latest.html` be the page of the newest run.

    Whoever is the last to set it has looked at the folder afterwards, and found nothing newer.
    """
    with named_faults(folder):
        chosen: Path | None = None
        while (newest := _newest(folder)) != chosen:
            place_file(newest, folder / LATEST, sha256_file(newest))
            chosen = newest
        sync_folder(folder)


def _newest(folder: Path) -> Path:
    numbers = [int(match[1]) for path in folder.iterdir() if (match := _PAGE.fullmatch(path.name))]
    return folder / f"run-{max(numbers)}.html"
