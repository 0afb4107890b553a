"""What a name may be, and near misses among names, for messages that end with "did you mean …?"."""

import difflib
from collections.abc import Iterable

# A name becomes part of file names and of references such as `digits@3`.
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"


def did_you_mean(word: str, choices: Iterable[str]) -> str | None:
    """The choice most like `word`, or None when nothing is close.

    >>> did_you_mean("dcgn", ["vae", "dcgan", "sngan"])
    'dcgan'
    >>> did_you_mean("zebra", ["vae", "dcgan"]) is None
    True
    """
    close = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return close[0] if close else None


def suggestion(word: str, choices: Iterable[str]) -> str:
    """A hint for an unknown name: the near miss if there is one, else the whole list.

    >>> suggestion("dcgn", ["vae", "dcgan"])
    "did you mean 'dcgan'?"
    >>> suggestion("zebra", ["vae", "dcgan"])
    'choose one of: dcgan, vae'
    """
    choices = sorted(choices)
    close = did_you_mean(word, choices)
    return f"did you mean {close!r}?" if close else f"choose one of: {', '.join(choices)}"
