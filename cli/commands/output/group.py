"""`pixmill output`: what jobs have made."""

import click

from cli.lazy import LazyCommand, LazyGroup
from cli.params import examples

_HERE = "cli.commands.output"

LOOK = {
    "ls": LazyCommand(f"{_HERE}.ls:command", "list outputs, with images, shards and size"),
    "show": LazyCommand(f"{_HERE}.show:command", "one output: where it lies, and what was measured"),
    "query": LazyCommand(f"{_HERE}.query:command", "images by label, seed, size, hash and what else is known of them"),
    "find": LazyCommand(f"{_HERE}.find:command", "which data set and which model an image comes from"),
    "verify": LazyCommand(f"{_HERE}.verify:command", "are the files the ones that were recorded?"),
}
ACT = {
    "export": LazyCommand(f"{_HERE}.export:command", "copy to a folder, in the format that another program wants"),
    "regenerate": LazyCommand(f"{_HERE}.regenerate:command", "make images again, and compare their hashes"),
    "rebuild": LazyCommand(f"{_HERE}.rebuild:command", "give shards on the disk their rows in the database back"),
    "rm": LazyCommand(f"{_HERE}.rm:command", "remove the images of a job"),
}
COMMANDS = {**LOOK, **ACT}


@click.group(
    "output",
    cls=LazyGroup,
    sections=[("Look", LOOK), ("Act", ACT)],
    epilog=examples("pixmill output ls", "pixmill output export 13 --to ~/cats --format parquet"),
)
def command() -> None:
    """What jobs have made: data sets of images, each with a table of its rows; compressed images."""
