"""From the flags of a kind of job to what is submitted."""

from collections.abc import Sequence
from typing import Any, TypeVar

import click

from cli.context import Workspace, user_name
from pixmill.quantities import scalar

Number = TypeVar("Number", int, float)


def submit(workspace: Workspace, kind: str | None, flags: dict[str, Any]) -> None:
    """Submit the jobs of files and flags; `kind` is None where the files name it.

    Takes the flags of `common_options`, and those of the kind as its spec has them; flags that are None were not given.
    Raises as `cli.submitting.submit_documents` does, and UsageError.
    """
    from cli.submitting import Presentation, submit_documents

    shown = Presentation(
        wait=flags.pop("wait"),
        dry_run=flags.pop("dry_run"),
        quiet=flags.pop("quiet"),
        as_json=flags.pop("output_format") == "json",
    )
    sources = flags.pop("sources")
    flags["labels"] = dict(flags["labels"])
    flags["after"] = list(flags["after"])
    flags["sweep"] = _sweep(flags.pop("sweeps"))
    submit_documents(workspace, kind, sources, flags, shown, user=user_name())


def _sweep(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    twice = next((key for place, (key, _values) in enumerate(pairs) if key in dict(pairs[:place])), None)
    if twice is not None:
        raise click.UsageError(f"--sweep {twice} is given twice; give all its values at once, parted by commas")
    return dict(pairs)


def preset_options(pairs: Sequence[tuple[str, str]]) -> dict[str, bool | int | float | str]:
    """What --set says of a preset's options; the last value of one holds."""
    return {key: scalar(value) for key, value in pairs}


def class_names(text: str | None, option: str = "--classes") -> list[str] | None:
    """The classes that stand in the text, parted by commas.  Raises UsageError, that names the option."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise click.UsageError(f"{option} names no class; write it like {option} 3,7")
    return names


def numbers(text: str | None, option: str, kind: type[Number]) -> list[Number] | None:
    """The numbers that stand in the text, parted by commas.  Raises UsageError, that names the option."""
    if text is None:
        return None
    try:
        return [kind(number) for number in text.split(",")]
    except ValueError:
        raise click.UsageError(f"{option} are numbers, parted by commas; got {text!r}") from None
