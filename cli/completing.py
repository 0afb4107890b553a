"""What the Tab key offers: commands and options from click, and from the database the names that live in it."""

import os
import socket
import time
from collections.abc import Sequence
from typing import Any

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class

ANSWER_SECONDS = 0.25  # the start of the program takes the other half of the half second
MOST = 2**63 - 1  # an id
VARIABLE = "_PIXMILL_COMPLETE"
BREAKS = ":=@"  # where bash parts words, although pixmill's names hold them


class LiveName(click.ParamType[str]):
    """A text that names something, of one of these sorts: see db/livenames.py, and _FIXED."""

    name = "text"

    def __init__(self, *sorts: str) -> None:
        self._sorts = sorts

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002  fixed by click
        incomplete: str,
    ) -> list[CompletionItem]:
        """The names that begin so."""
        return offered(ctx, self._sorts, incomplete)


class LiveId(click.IntRange):
    """The number of something in the database."""

    def __init__(self, *sorts: str) -> None:
        super().__init__(min=1)
        self._sorts = sorts

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number; one that no database could hold is refused."""
        number = super().convert(value, param, ctx)
        if number > MOST:
            self.fail(f"{value} is larger than any id", param, ctx)
        return number

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002  fixed by click
        incomplete: str,
    ) -> list[CompletionItem]:
        """Those that begin so, the latest first."""
        return offered(ctx, self._sorts, incomplete)


def offered(ctx: click.Context, sorts: Sequence[str], incomplete: str) -> list[CompletionItem]:
    """The names that begin so; none, without a word, when the database is away or does not answer at once."""
    try:
        found = _names(ctx, sorts, incomplete)
    except Exception:  # noqa: BLE001  whatever is wrong, a line that is being typed is no place to say so
        return []
    return [CompletionItem(name, help=remark or None) for name, remark in dict(found).items()]


def _names(ctx: click.Context, sorts: Sequence[str], incomplete: str) -> list[tuple[str, str]]:
    fixed = [pair for sort in sorts if sort in _FIXED for pair in _FIXED[sort]() if pair[0].startswith(incomplete)]
    asked = [sort for sort in sorts if sort not in _FIXED]
    return fixed + (_asked(_url(ctx), asked, incomplete) if asked else [])


def _url(ctx: click.Context) -> str:
    """The database that the line chooses: its global options are read, but were not acted on."""
    from pixmill.settings import load_settings

    given = ctx.find_root().params
    flags = {"home": given["home"]} if given.get("home") else {}
    return load_settings(config=given.get("config"), flags=flags).database_url


def _asked(url: str, sorts: Sequence[str], incomplete: str) -> list[tuple[str, str]]:
    from client.answers import Answer
    from db.livenames import live_names

    deadline = time.monotonic() + ANSWER_SECONDS
    everywhere = Answer(lambda: live_names(url, sorts, incomplete))
    here = f"{socket.gethostname()}:"
    local: list[tuple[str, str]] = []
    if "device" in sorts:  # one of this host goes by its name alone, too
        of_host = Answer(lambda: live_names(url, sorts, here + incomplete))
        local = [(name.removeprefix(here), remark) for name, remark in of_host.get(deadline)]
    return [*local, *everywhere.get(deadline)]


def _presets() -> list[tuple[str, str]]:
    from imagemodels.presets import PRESETS

    return [(name, preset.summary) for name, preset in PRESETS.items()]


def _schemas() -> list[tuple[str, str]]:
    from cli.envelopes import schema_names

    return [(name, "") for name in schema_names()]


_FIXED = {"preset": _presets, "schema": _schemas}


class WholeWords(BashComplete):
    """Completion for bash, of names that hold colons, too: bash takes `cuda:0` and `digits@2` for several words."""

    source_template = BashComplete.source_template.replace(
        "env COMP_WORDS=", 'env COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_WORDS='
    )

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one that is being typed, and what is there of that."""
        line = os.environ.get("COMP_LINE")
        if line is None:
            return super().get_completion_args()
        from click.shell_completion import split_arg_string

        words = split_arg_string(line)[1:]
        return (words, "") if line[-1:].isspace() else (words[:-1], words[-1] if words else "")

    def complete(self) -> str:
        """What bash is to put in place of that part of the word which it takes for a word."""
        args, incomplete = self.get_completion_args()
        kept = 1 + max(incomplete.rfind(letter) for letter in BREAKS)
        items = self.get_completions(args, incomplete)
        for item in items:
            if item.type == "plain" and kept:
                item.value = str(item.value)[kept:]
        return "\n".join(self.format_completion(item) for item in items)


def register_shells() -> None:
    """Let click use the completion above."""
    add_completion_class(WholeWords)
