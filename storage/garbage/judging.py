"""What of an attempt's folder may go.

An attempt writes into a folder of its own, and what is published refers to it by rows. An epoch is never given twice,
so a folder that is not live, and that no row refers to, stays so: deleting it can wait, and can be repeated.
"""

import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from math import inf
from pathlib import Path

from storage.atomic import TEMPORARY_SUFFIX
from storage.garbage.folders import TRASH_PREFIX, AttemptFolder, list_entries
from storage.garbage.verdicts import Claims, Judgement, Scrap, Standing, Waste
from storage.garbage.weighing import weigh

# What `logs` and `report` put together from all attempts of a task, the older ones too.
HISTORY = ("log.txt", "log-*.txt", "journal.jsonl", "losses.jsonl", "quality.jsonl", "reals.png", "samples-*.png")
# What an attempt writes to be published by a row, and is of no use without one.
PUBLISHABLE = (
    "state-*.pt",
    "best-*",
    "shard-*.json",
    "shard-*.tar",
    "shard-*.npy",
    "shard-*.parquet",
    "files",
    "model",
)

MODEL = "model"  # folder of a finished model …
CARD = "model.json"  # … and what is written last into it


def judge(root: Path, folder: AttemptFolder, claims: Claims, *, cutoff: float, acknowledged: float = inf) -> Judgement:
    """Tell what of an attempt's folder may go.

    `cutoff` is a time (seconds since 1970): orphans and temporary files that were changed after it stay, since the
    row of what is being made may be on its way. Orphans that were changed after `acknowledged` stay as well: they may
    have their rows in a newer database than the one that was restored. So does a model, which no row may ever know.
    Raises StorageError if the folder cannot be read.
    """
    standing = claims.standing(folder)
    weight = weigh(root.joinpath(*folder.parts))
    if standing is Standing.LIVE:
        return Judgement(folder=folder, standing=standing, whole=weight.usage)
    if standing is Standing.ORPHAN:
        scrap = Scrap(parts=folder.parts, waste=Waste.ORPHAN, usage=weight.usage)
        stays = {
            "is_young": weight.changed_at > cutoff,
            "is_later": weight.changed_at > acknowledged,
            "is_published": root.joinpath(*folder.parts, MODEL, CARD).is_file(),
        }
        scraps = () if any(stays.values()) else (scrap,)
        return Judgement(folder=folder, standing=standing, whole=weight.usage, scraps=scraps, **stays)
    found = _left(root, folder) if standing is Standing.LEFT else _unneeded(root, folder, claims, cutoff)
    return Judgement(folder=folder, standing=standing, whole=weight.usage, scraps=tuple(found))


def _left(root: Path, folder: AttemptFolder) -> Iterator[Scrap]:
    """Everything but the history."""
    for entry in list_entries(root, folder.parts):
        is_file = entry.is_file(follow_symlinks=False)
        if not (is_file and _matches(entry.name, HISTORY)):
            waste = Waste.TRASH if entry.name.startswith(TRASH_PREFIX) else Waste.LEFT
            yield _scrap(root, folder, entry, waste)


def _unneeded(root: Path, folder: AttemptFolder, claims: Claims, cutoff: float) -> Iterator[Scrap]:
    """What no row vouches for, in a folder that stays.

    Only names that pixmill gives to what it publishes: of anything else nobody knows who needs it.
    """
    kept = []
    for entry in list_entries(root, folder.parts):
        is_unpublished = claims.has_ended and _matches(entry.name, PUBLISHABLE)
        if entry.name.startswith(TRASH_PREFIX):
            yield _scrap(root, folder, entry, Waste.TRASH)
        elif is_unpublished and not claims.protects(f"{folder.path}/{entry.name}"):
            yield _scrap(root, folder, entry, Waste.UNPUBLISHED)
        else:
            kept.append(entry)
    if claims.has_ended:
        for entry in kept:
            yield from _temporary(root, (*folder.parts, entry.name), claims, cutoff)


def _temporary(root: Path, parts: tuple[str, ...], claims: Claims, cutoff: float) -> Iterator[Scrap]:
    """Half-written files, and folders of them, at or below `parts` that are older than `cutoff`."""
    path = root.joinpath(*parts)
    if fnmatchcase(parts[-1], f".*{TEMPORARY_SUFFIX}") and not claims.protects("/".join(parts)):
        weight = weigh(path)
        if weight.changed_at <= cutoff:
            yield Scrap(parts=parts, waste=Waste.TEMPORARY, usage=weight.usage)
    elif path.is_dir() and not path.is_symlink():
        for entry in list_entries(root, parts):
            yield from _temporary(root, (*parts, entry.name), claims, cutoff)


def _scrap(root: Path, folder: AttemptFolder, entry: "os.DirEntry[str]", waste: Waste) -> Scrap:
    parts = (*folder.parts, entry.name)
    return Scrap(parts=parts, waste=waste, usage=weigh(root.joinpath(*parts)).usage)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
