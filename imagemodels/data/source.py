"""What a data set's name may be, checked without reading an image."""

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from imagemodels.data.errors import DatasetMissing, UnknownDataset
from imagemodels.data.shards import find_shards
from imagemodels.names import did_you_mean

BUILT_IN_KINDS = ("digits", "mnist", "fashion-mnist", "cifar10")
PATH_KINDS = ("folder", "zip", "tar", "idx")
SEQUENCE_KIND = "moving"  # sequences made of the images of another data set, whose name follows
PAIR_KIND = "pairs"  # of images: what is given, and what is to be made of it
DATASET_KINDS = (
    *BUILT_IN_KINDS,
    *(f"{kind}:PATH" for kind in PATH_KINDS),
    f"{SEQUENCE_KIND}:NAME",
    f"{PAIR_KIND}:PATH",
)


@dataclass(frozen=True)
class DatasetSource:
    """A data set's name taken apart: its kind, and for kinds that have one, an absolute path.

    Where ``moves``, it is the source of the objects of sequences.
    """

    kind: str
    path: Path | None = None
    moves: bool = False

    def __str__(self) -> str:
        name = self.kind if self.path is None else f"{self.kind}:{self.path}"
        return f"{SEQUENCE_KIND}:{name}" if self.moves else name


def parse_dataset_name(name: str) -> DatasetSource:
    """Take a name such as ``digits``, ``folder:~/cats`` or ``moving:digits`` apart.

    Raises UnknownDataset when no reader knows the name.
    """
    kind, colon, path = name.partition(":")
    if kind == SEQUENCE_KIND:
        return _moving(name, path)
    if not colon and kind in BUILT_IN_KINDS:
        return DatasetSource(kind)
    if kind in (*PATH_KINDS, PAIR_KIND) and path:
        return DatasetSource(kind, _expanded(path).absolute())
    raise UnknownDataset(_unknown_message(name, kind, bool(colon)))


def _moving(name: str, objects: str) -> DatasetSource:
    if not objects or objects.partition(":")[0] == SEQUENCE_KIND:
        example = f"{SEQUENCE_KIND}:digits"
        raise UnknownDataset(f"data set {name!r} moves the images of another set: name that one, such as {example}")
    source = parse_dataset_name(objects)
    if source.kind == PAIR_KIND:
        raise UnknownDataset(f"data set {name!r}: only single images can be moved, and {objects} is of pairs")
    return replace(source, moves=True)


def _unknown_message(name: str, kind: str, has_colon: bool) -> str:
    if kind in (*PATH_KINDS, PAIR_KIND):
        return f"data set {name!r} lacks its path: write {kind}:PATH, such as {kind}:/data/flowers"
    if has_colon and kind in BUILT_IN_KINDS:
        return f"data set {name!r}: {kind} takes no path; write {kind} alone, and give its folder as the data root"
    hint = did_you_mean(kind, (*BUILT_IN_KINDS, *PATH_KINDS, SEQUENCE_KIND, PAIR_KIND))
    with suppress(OSError):  # a name that is too long, or a folder that may not be looked into
        if not hint and _expanded(name).exists():
            hint = f" (did you mean '{_kind_of(_expanded(name))}:{name}'?)"
    return f"unknown data set {name!r}{hint}; known are {', '.join(DATASET_KINDS)}"


def _expanded(path: str) -> Path:
    """The path with the home in place of its tilde; one of an account that there is not stays as it is."""
    try:
        return Path(path).expanduser()
    except (RuntimeError, ValueError):  # no such account, or a name that cannot be one
        return Path(path)


def _kind_of(path: Path) -> str:
    """Which kind of data set a path most likely is."""
    if path.is_dir():
        return "folder"
    ends = path.name.lower()
    return "zip" if ends.endswith(".zip") else "tar" if ".tar" in ends or ends.endswith(".tgz") else "idx"


def names_sequences(name: str) -> bool:
    """Whether a data set of that name is of sequences rather than of images."""
    return name.partition(":")[0] == SEQUENCE_KIND


def names_pairs(name: str) -> bool:
    """Whether a data set of that name is of pairs of images."""
    return name.partition(":")[0] == PAIR_KIND


def check_dataset_name(name: str) -> str:
    """Return the name with its path made absolute, after a check that reads no file.

    Raises UnknownDataset for a name of no known kind, DatasetMissing for a path that is absent, empty or of the wrong
    sort.
    """
    try:
        return _checked(name)
    except OSError as error:
        raise DatasetMissing(f"data set {name}: {error.strerror or error}") from error


def _checked(name: str) -> str:
    source = parse_dataset_name(name)
    if source.path is not None:
        _check_path(source.kind, source.path)
    return str(source)


def is_gone(name: str) -> bool:
    """Whether nothing is left of the data set at a place; not when that cannot be known."""
    try:
        _checked(name)
    except DatasetMissing:
        return True
    except (OSError, UnknownDataset):
        return False
    return False


def _check_path(kind: str, path: Path) -> None:
    if kind == "tar":
        find_shards(path)
        return
    is_folder = kind in ("folder", PAIR_KIND)
    if not path.exists():
        raise DatasetMissing(f"data set {kind}:{path}: there is no such {'folder' if is_folder else 'file'}")
    if is_folder and not path.is_dir():
        raise DatasetMissing(f"data set {kind}:{path}: this is a file; give the folder that holds the images")
    if is_folder and not any(files for _folder, _subfolders, files in os.walk(path)):
        raise DatasetMissing(f"data set {kind}:{path}: the folder is empty")
    if kind == "zip" and not path.is_file():
        raise DatasetMissing(f"data set zip:{path}: this is a folder; write folder:{path}")
