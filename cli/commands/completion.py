"""`pixmill completion`: commands and options at the Tab key."""

import click
from click.shell_completion import get_completion_class

from cli.completing import VARIABLE, register_shells
from cli.params import examples


@click.command("completion", epilog=examples('eval "$(pixmill completion bash)"', "pixmill completion fish | source"))
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print a script that makes the shell complete commands, options and the names of what is in the database."""
    register_shells()
    completion = get_completion_class(shell)
    assert completion is not None
    click.echo(completion(ctx.find_root().command, {}, "pixmill", VARIABLE).source())
