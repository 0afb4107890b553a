"""Paths that begin with the home of an account."""

from pathlib import Path


def expanded(path: Path) -> Path:
    """The path with the home in place of its tilde; one of an account that there is not stays as it is.

    >>> expanded(Path("~no such account/x"))
    PosixPath('~no such account/x')
    """
    try:
        return path.expanduser()
    except (RuntimeError, ValueError):  # no such account, or a name that cannot be one
        return path
