"""All commands of the command line."""

from collections.abc import Iterator

import click

from cli.main import command as root


def walk(command: click.Command = root, path: tuple[str, ...] = ("pixmill",)) -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name, hidden ones left out."""
    yield " ".join(path), command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None, f"{path} {name}"
            if not child.hidden:
                yield from walk(child, (*path, name))


COMMANDS = dict(walk())
