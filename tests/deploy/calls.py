"""Whether words that stand in a file of a deployment are a command line of pixmill."""

from collections.abc import Sequence

import click

from tests.cli.tree import COMMANDS
from tests.deploy.composition import ROOT

LEAVES = {name for name, command in COMMANDS.items() if not isinstance(command, click.Group)}


def check_call(words: Sequence[str]) -> None:
    """Parse `db upgrade` and the like.  Raises click.UsageError for an option or a value that there is not."""
    name = next(name for n in (2, 1) if (name := " ".join(["pixmill", *words[:n]])) in LEAVES)
    arguments = words[len(name.split()) - 1 :]
    # Of a secret it is known only where it will be; some options look for the file.
    arguments = [str(ROOT / "README.md") if word.startswith("/run/secrets") else word for word in arguments]
    COMMANDS[name].make_context(name, arguments).close()
