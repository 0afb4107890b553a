"""`pixmill submit`: ask for a job."""

import click

from cli.lazy import NamedGroup, load_command
from cli.params import examples

_HERE = "cli.commands.job.submit"

# Each in the module of its name.
KINDS = ("train", "generate", "animate", "edit", "evaluate", "gate", "compress", "decompress", "restore", "ping")
FROM_FILE = "file"


class SubmitGroup(NamedGroup):
    """Knows the kinds by name, and takes `submit -f FILE` without one: the file names it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  fixed by click
        """The kinds."""
        return sorted(KINDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of that kind, imported now."""
        return load_command(f"{_HERE}.{cmd_name}:command") if cmd_name in {*KINDS, FROM_FILE} else None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert the hidden command where the first argument is an option."""
        if args and args[0].startswith("-") and args[0] not in ctx.help_option_names:
            args = [FROM_FILE, *args]
        return super().parse_args(ctx, args)


@click.group(
    "submit",
    cls=SubmitGroup,
    epilog=examples(
        "pixmill submit train --model vae --dataset digits --conditional --wait",
        "pixmill submit generate --model vae-digits --n 10k --after 12",
        "pixmill job show 12 --spec | pixmill submit -f - --set width=64",
        "pixmill submit -f night.yaml -f day.yaml",
        "pixmill submit generate --model vae-digits --n 10k --array 0-15%4",
        "pixmill submit train --model vae --dataset digits --sweep learning_rate=1e-4,2e-4 --sweep seed=0..4",
        "pixmill submit ping --wait",
    ),
)
def command() -> None:
    """Ask for a job.

    A job can also stand in a file of YAML, JSON or TOML: `pixmill submit -f job.yaml`. Flags go over what it says;
    name the kind to use its own: `pixmill submit train -f job.yaml --images 1M`. Several files, or several YAML
    documents in one (parted by ---), are added all together or not at all. Counts may be written 10k, 1M or 1_000_000.

    --array and --sweep make an array: many jobs at once, whose seeds differ (seed + index), or what holds {index}, or
    what is swept.
    """
