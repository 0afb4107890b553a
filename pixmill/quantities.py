"""Counts and time spans as people write them, on the command line and in settings."""

import re

_COUNT = re.compile(r"(\d[\d_]*)(?:\.(\d+))?([kKMGT]?)")
_FACTORS = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d|)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_count(text: str) -> int:
    """A whole number as people write it.  Raises ValueError.

    >>> parse_count("10k"), parse_count("1.5M"), parse_count("1_000_000")
    (10000, 1500000, 1000000)
    """
    match = _COUNT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a whole number; write it like 5000, 10k, 1M or 1_000_000")
    whole, fraction, unit = match[1].replace("_", ""), match[2] or "", match[3]
    scaled = int(whole + fraction) * _FACTORS[unit]
    if scaled % 10 ** len(fraction):
        raise ValueError(f"{text!r} is not a whole number")
    return scaled // int(10 ** len(fraction))


def parse_seconds(text: str) -> float:
    """A time span in seconds.  Raises ValueError.

    >>> parse_seconds("90"), parse_seconds("2m"), parse_seconds("1.5h")
    (90.0, 120.0, 5400.0)
    """
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a time span; write it like 90, 30s, 10m, 2h or 1d")
    return float(match[1]) * _SECONDS[match[2]]


def scalar(text: str) -> bool | int | float | str:
    """A text as the number or truth value that it spells, else as it is.

    >>> scalar("1e-4"), scalar("TRUE"), scalar("16"), scalar("none")
    (0.0001, True, 16, 'none')
    """
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
