"""Groups of commands that know their commands by name alone, and load one when it is called."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from pixmill.names import suggestion


@dataclass(frozen=True)
class LazyCommand:
    """A command by the place of its definition, and the line that `--help` of its group shows."""

    target: str  # "module:attribute"
    summary: str

    def load(self) -> click.Command:
        """Import the module and give the command."""
        return load_command(self.target)


def load_command(target: str) -> click.Command:
    """Import a module and give its command; `target` is "module:attribute"."""
    module, _, attribute = target.partition(":")
    command = getattr(import_module(module), attribute)
    assert isinstance(command, click.Command)
    return command


class NamedGroup(click.Group):
    """A group that says which of its commands may be meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments name.  Raises UsageError with the nearest name."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise click.UsageError(f"no command {args[0]!r}; {suggestion(args[0], self.list_commands(ctx))}", ctx)
        return super().resolve_command(ctx, args)


class LazyGroup(NamedGroup):
    """A group whose commands stand in `sections`: a title and the commands below it."""

    def __init__(
        self, *args: Any, sections: Sequence[tuple[str, Mapping[str, LazyCommand]]], **attributes: Any
    ) -> None:
        super().__init__(*args, **attributes)
        self.sections = sections
        self._lazy = {name: command for _title, commands in sections for name, command in commands.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  fixed by click
        """Names, in the order of the help."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of that name, imported now."""
        return self._lazy[cmd_name].load() if cmd_name in self._lazy else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the table of commands without importing any of them."""
        width = max(len(name) for name in self._lazy)
        for title, commands in self.sections:
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), command.summary) for name, command in commands.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name without importing any of them."""
        found = [name for name in self._lazy if name.startswith(incomplete)]
        commands = [CompletionItem(name, help=self._lazy[name].summary) for name in found]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]
