"""Which archives a path of a tar data set means: a file, a folder of shards, or a pattern of their names."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from imagemodels.data.errors import DatasetMissing

ARCHIVE_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
MOST_SHARDS = 100_000

_BRACES = re.compile(r"\{([^{}]*)\}")
_WILD = re.compile(r"[*?\[]")
_RANGE = re.compile(r"(\d{1,9})\.\.(\d{1,9})")


def find_shards(path: Path) -> tuple[Path, ...]:
    """Return the archives of an absolute path, sorted: the file itself, all of a folder, or those a pattern names.

    A pattern holds ``*``, ``?``, ``[…]``, ``{a,b}`` or ``{000..012}``.
    Raises DatasetMissing when there is none, or when one that braces name is absent.
    """
    if path.is_file():
        return (path,)
    if path.is_dir():
        found = sorted(entry for entry in path.iterdir() if _is_archive(entry))
        if not found:
            raise DatasetMissing(
                f"data set tar:{path}: no archive ({', '.join(ARCHIVE_ENDINGS)}) lies in this folder; "
                f"for a folder of images write folder:{path}"
            )
        return tuple(found)
    return _named_by(path)


def _is_archive(path: Path) -> bool:
    return not path.name.startswith(".") and path.name.endswith(ARCHIVE_ENDINGS) and path.is_file()


def _named_by(pattern: Path) -> tuple[Path, ...]:
    texts = list(islice(expand_braces(str(pattern)), MOST_SHARDS + 1))
    if len(texts) > MOST_SHARDS:
        raise DatasetMissing(f"data set tar:{pattern}: the braces name more than {MOST_SHARDS:,} archives")
    found: set[Path] = set()
    for text in texts:
        names = Path("/").glob(text.lstrip("/")) if _WILD.search(text) else [Path(text)]
        shards = [name for name in names if name.is_file()]
        if not shards:
            raise DatasetMissing(f"data set tar:{pattern}: there is no such file{_naming(text, pattern)}")
        found.update(shards)
    return tuple(sorted(found))


def _naming(text: str, pattern: Path) -> str:
    return "" if text == str(pattern) else f" as {text}"


def expand_braces(pattern: str) -> Iterator[str]:
    """Yield the texts that a pattern with braces stands for, as a shell does.

    >>> list(expand_braces("shard-{008..010}.tar"))
    ['shard-008.tar', 'shard-009.tar', 'shard-010.tar']
    >>> list(expand_braces("{a,b}-{1..2}"))
    ['a-1', 'a-2', 'b-1', 'b-2']
    """
    match = _BRACES.search(pattern)
    if match is None:
        yield pattern
        return
    for choice in _choices(match[1]):
        for rest in expand_braces(pattern[match.end() :]):
            yield pattern[: match.start()] + choice + rest


def _choices(inner: str) -> Iterator[str]:
    numbers = _RANGE.fullmatch(inner)
    if numbers is None:
        yield from inner.split(",")
        return
    first, last = numbers[1], numbers[2]
    width = max(len(first), len(last)) if first.startswith("0") or last.startswith("0") else 0
    for number in range(int(first), int(last) + 1):
        yield f"{number:0{width}d}"
