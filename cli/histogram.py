"""How many of each: names, counts, and bars as long as the counts."""

from collections.abc import Iterator, Mapping

from cli.formatting import columns_of, cut, printable

BAR_COLUMNS = 32
NAME_COLUMNS = 30
SHOWN_CLASSES = 40


def histogram_lines(counts: Mapping[str, int], *, indent: str = "  ") -> Iterator[str]:
    r"""Yield a line for each of the first classes, and one for what is left of many.

    >>> print(*histogram_lines({"cat": 4, "dog": 1}), sep="\n")
      cat  4  ████████████████████████████████
      dog  1  ████████
    """
    shown = [(cut(printable(name), NAME_COLUMNS), number) for name, number in counts.items()][:SHOWN_CLASSES]
    width = max((columns_of(name) for name, _number in shown), default=0)
    digits = max((len(f"{number:,}") for _name, number in shown), default=0)
    most = max(counts.values(), default=0)
    for name, number in shown:
        padding = " " * (width - columns_of(name))
        yield f"{indent}{name}{padding}  {number:>{digits},}  {_bar(number, most)}".rstrip()
    left = list(counts.values())[SHOWN_CLASSES:]
    if left:
        yield f"{indent}… and {len(left):,} more classes of {min(left):,} to {max(left):,} images"


def _bar(number: int, most: int) -> str:
    """At least a sliver for what is there."""
    return ("█" * round(BAR_COLUMNS * number / most) or "▏") if number else ""
