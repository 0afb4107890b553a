"""Help for people who misspell a name."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return a hint such as `` (did you mean 'dcgan'?)``, or an empty string when nothing is close.

    >>> did_you_mean("dcgn", ["vae", "dcgan"])
    " (did you mean 'dcgan'?)"
    >>> did_you_mean("zebra", ["vae", "dcgan"])
    ''
    """
    matches = get_close_matches(word.lower(), list(choices), n=1, cutoff=0.6)
    return f" (did you mean {matches[0]!r}?)" if matches else ""
