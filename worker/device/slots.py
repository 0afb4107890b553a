"""Names of what one worker owns: a device, or several of a kind that it lets work together."""

import re
from itertools import groupby

from pixmill.errors import UserError

LONGEST_NAME = 32  # characters that the database keeps
_ITEM = re.compile(r"(?:(cpu|cuda):)?(\d{1,4})(?:-(\d{1,4}))?")
_BARE = re.compile(r"(cpu|cuda)(?::(\d{1,4}))?")


def parse_slot(name: str) -> tuple[str, tuple[int, ...]]:
    """Split the name of one device, or of several, into kind and numbers; "cpu" is number 0.  Raises UserError.

    >>> parse_slot("cuda:1")
    ('cuda', (1,))
    >>> parse_slot("cuda:0,cuda:1")
    ('cuda', (0, 1))
    >>> parse_slot("cuda:0-2,5")
    ('cuda', (0, 1, 2, 5))
    """
    bare = _BARE.fullmatch(name)
    if bare is not None and (bare[1] == "cpu" or bare[2] is not None):
        return bare[1], (int(bare[2] or 0),)
    matches = [_ITEM.fullmatch(item) for item in name.split(",")]
    kinds = {match[1] for match in matches if match is not None and match[1] is not None}
    if None in matches or matches[0] is None or matches[0][1] is None or len(kinds) != 1:
        raise UserError(f"{name!r} is not a device", hint="use cpu, cuda:0, cuda:0-3 for several at once …, or auto")
    ranges = [range(int(match[2]), int(match[3] or match[2]) + 1) for match in matches if match is not None]
    numbers = [number for numbers in ranges for number in numbers]
    if not all(ranges) or len(set(numbers)) != len(numbers):
        raise UserError(f"{name!r} counts backwards, or names a device twice", hint="write it like cuda:0-3")
    return kinds.pop(), tuple(sorted(numbers))


def slot_name(name: str) -> str:
    """The shortest name of the same devices.  Raises UserError.

    >>> slot_name("cuda:0,cuda:1,cuda:2,cuda:5")
    'cuda:0-2,5'
    >>> slot_name("cpu")
    'cpu'
    """
    kind, numbers = parse_slot(name)
    if len(numbers) == 1:
        return name if _BARE.fullmatch(name) else f"{kind}:{numbers[0]}"
    runs = [[pair[1] for pair in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    short = f"{kind}:" + ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
    if len(short) > LONGEST_NAME:
        raise UserError(f"{short!r} is longer than {LONGEST_NAME} characters", hint="name neighbours, like cuda:0-3")
    return short


def members(name: str) -> list[str]:
    """The single devices, each by a name of its own.  Raises UserError.

    >>> members("cuda:0-1")
    ['cuda:0', 'cuda:1']
    >>> members("cpu")
    ['cpu']
    """
    kind, numbers = parse_slot(name)
    return [slot_name(name)] if len(numbers) == 1 else [f"{kind}:{number}" for number in numbers]
