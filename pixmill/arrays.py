"""Arrays: many jobs that are asked for at once and told apart by an index, written as Slurm has it."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

MOST_ELEMENTS = 10_000  # jobs of one array
LARGEST_INDEX = 2**31 - 1  # what a column holds
EXAMPLES = "write it like 0-15, 1,3,5-9:2, or 0-15%4 for at most four at once"

_DIGITS = 18  # of a number: more than any index has, few enough to count with
_NUMBER = rf"([0-9]{{1,{_DIGITS}}})"
_PIECE = re.compile(f"{_NUMBER}(?:-{_NUMBER}(?::{_NUMBER})?)?")
_LIMIT = re.compile(_NUMBER)
_RANGE = re.compile(r"(-?[0-9]+)\.\.(-?[0-9]+)(?::([0-9]+))?")
_ELEMENT = re.compile(rf"{_NUMBER}(?:_{_NUMBER}|\[{_NUMBER}\])")
_REFERENCE = re.compile(r"array:([1-9][0-9]{0,18})")


@dataclass(frozen=True)
class ArrayRange:
    """The indices of an array, in rising order, and how many of its jobs may run at once (None: all)."""

    indices: Sequence[int]
    limit: int | None = None


def parse_array(text: str) -> ArrayRange:
    """Read `0-15`, `1,3,5-9:2` or either with `%4` behind.  Raises ValueError.

    >>> parse_array("1,3,5-9:2%4")
    ArrayRange(indices=(1, 3, 5, 7, 9), limit=4)
    """
    listed, percent, limit = text.replace(" ", "").partition("%")
    pieces = [_piece(piece, text) for piece in listed.split(",")]
    require_elements(sum(len(piece) for piece in pieces), text)
    indices = sorted(index for piece in pieces for index in piece)
    twice = next((one for one, following in pairwise(indices) if one == following), None)
    if twice is not None:
        raise ValueError(f"{text!r} names index {twice} twice")
    if percent and not (_LIMIT.fullmatch(limit) and 1 <= int(limit) <= LARGEST_INDEX):
        raise ValueError(f"{text!r}: {'%' + limit!r} is no limit; {EXAMPLES}")
    return ArrayRange(tuple(indices), int(limit) if percent else None)


def _piece(piece: str, text: str) -> range:
    match = _PIECE.fullmatch(piece)
    if match is None:
        raise ValueError(f"{text!r} is no list of indices; {EXAMPLES}")
    first = int(match[1])
    last, step = int(match[2] or first), int(match[3] or 1)
    if last < first or not step:
        raise ValueError(f"{text!r}: {piece!r} holds no index; {EXAMPLES}")
    if last > LARGEST_INDEX:
        raise ValueError(f"{text!r}: an index is at most {LARGEST_INDEX:,}")
    return range(first, last + 1, step)


def require_elements(count: int, what: str) -> None:
    """Raise ValueError for more jobs than an array may have."""
    if count > MOST_ELEMENTS:
        raise ValueError(f"{what} asks for {count:,} jobs; an array has at most {MOST_ELEMENTS:,}")


def index_text(indices: Sequence[int], most: int | None = None) -> str:
    """Indices in rising order, as short as they can be written; of more than `most` pieces the first and the last.

    >>> index_text([0, 1, 2, 5, 8, 9]), index_text([1, 3, 5, 7, 9], most=4)
    ('0-2,5,8-9', '1,3,…,9')
    """
    pieces = [f"{first}" if first == last else f"{first}-{last}" for first, last in _runs(indices)]
    if most is not None and len(pieces) > most:
        pieces = [*pieces[: most - 2], "…", pieces[-1]]
    return ",".join(pieces)


def _runs(indices: Iterable[int]) -> Iterator[tuple[int, int]]:
    first = last = None
    for index in indices:
        if first is None or last is None:
            first = index
        elif index != last + 1:
            yield first, last
            first = index
        last = index
    if first is not None and last is not None:
        yield first, last


def parse_values(text: str) -> list[str]:
    """The values of a sweep: texts parted by commas, where `0..4` and `0..100:25` stand for whole numbers.

    Raises ValueError.

    >>> parse_values("1e-4,2e-4"), parse_values("0..4"), parse_values("0..100:25,7")
    (['1e-4', '2e-4'], ['0', '1', '2', '3', '4'], ['0', '25', '50', '75', '100', '7'])
    """
    values: list[str] = []
    for piece in map(str.strip, text.split(",")):
        found = _whole_numbers(piece, text)
        if not piece or found == range(0):
            raise ValueError(f"{text!r}: {piece!r} holds no value; write it like 1e-4,2e-4 or 0..4")
        require_elements(len(values) + (1 if found is None else len(found)), repr(text))
        values += [piece] if found is None else map(str, found)
    return values


def _whole_numbers(piece: str, text: str) -> range | None:
    """Those of `0..4` or `0..100:25`; None for another value."""
    match = _RANGE.fullmatch(piece)
    if match is None:
        return None
    if any(len(digits.lstrip("-")) > _DIGITS for digits in match.groups("")):
        raise ValueError(f"{text!r}: a number between which others are counted has at most {_DIGITS} digits")
    first, last, step = int(match[1]), int(match[2]), int(match[3] or 1)
    return range(first, last + 1, step) if step else range(0)


def parse_element(text: str) -> tuple[int, int] | None:
    """(array, index) of `12_3` or `12[3]`; None for a text that is neither.

    >>> parse_element("12_3"), parse_element("12[3]"), parse_element("12")
    ((12, 3), (12, 3), None)
    """
    match = _ELEMENT.fullmatch(text)
    return None if match is None else (int(match[1]), int(match[2] or match[3]))


def parse_array_reference(text: str) -> int | None:
    """The id of `array:12`; None for another text.

    >>> parse_array_reference("array:12"), parse_array_reference("12")
    (12, None)
    """
    match = _REFERENCE.fullmatch(text)
    return None if match is None else int(match[1])
