"""Which versions of models, and which training states, stay although nothing needs them."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pixmill.names import did_you_mean
from pixmill.quantities import parse_seconds

NO_POLICY = "none"
EXAMPLE = "last=5,best=3,champions=30d,checkpoints=14d"
MOST_KEPT = 10**9
MOST_SECONDS = 36_525 * 86_400.0  # a century: what a date can be put back by


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Rules that keep what no row needs. Without a rule for versions all of them stay; so do states without theirs."""

    last: int | None = None  # the newest versions of each model
    best: int | None = None  # the best versions of each model, by its own metric
    champions: str | None = None  # versions that were champion within this time, such as "30d"
    checkpoints: str | None = None  # training states of jobs that ended within this time

    def __str__(self) -> str:
        """As `parse_policy` reads it.

        >>> str(Policy(last=5, champions="30d")), str(Policy())
        ('last=5,champions=30d', 'none')
        """
        rules = {name: value for name, value in asdict(self).items() if value is not None}
        return ",".join(f"{name}={value}" for name, value in rules.items()) or NO_POLICY

    @property
    def lets_versions_go(self) -> bool:
        """Whether there is a rule for versions."""
        return any(rule is not None for rule in (self.last, self.best, self.champions))

    @property
    def champion_seconds(self) -> float | None:
        """How long a version is kept that is champion no more."""
        return None if self.champions is None else parse_seconds(self.champions)

    @property
    def checkpoint_seconds(self) -> float | None:
        """How long training states are kept after the end of their job."""
        return None if self.checkpoints is None else parse_seconds(self.checkpoints)


def check_span(text: str) -> str:
    """A time span as it was written.  Raises ValueError."""
    if parse_seconds(text) > MOST_SECONDS:
        raise ValueError(f"{text!r} is more than a century")
    return text


def check_kept(count: int) -> int:
    """How many are kept.  Raises ValueError."""
    if not 1 <= count <= MOST_KEPT:
        raise ValueError(f"{count} is not a whole number from 1 on")
    return count


def _count(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"{text!r} is not a whole number from 1 on")
    return check_kept(int(text))


_RULES: Mapping[str, Callable[[str], Any]] = {
    "last": _count,
    "best": _count,
    "champions": check_span,
    "checkpoints": check_span,
}


def parse_policy(text: str) -> Policy:
    """The rules of a policy, or of `none` no rule.  Raises ValueError.

    >>> parse_policy("last=5, best=3").best
    3
    """
    if text.strip() == NO_POLICY:
        return Policy()
    rules: dict[str, Any] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if name not in _RULES:
            raise ValueError(f"{part.strip()!r} is no rule; {_known(name)}")
        if not equals or not value:
            raise ValueError(f"rule {name!r} has no value; write it like {EXAMPLE}")
        if name in rules:
            raise ValueError(f"rule {name!r} is given twice")
        try:
            rules[name] = _RULES[name](value)
        except ValueError as error:
            raise ValueError(f"rule {name!r}: {error}") from None
    return Policy(**rules)


def _known(name: str) -> str:
    close = did_you_mean(name, _RULES)
    return f"did you mean {close!r}?" if close else f"write it like {EXAMPLE}"
