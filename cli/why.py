"""`pixmill job why`: where a job stands, all that keeps it from going on, and what can be done."""

import sys
import textwrap

import click

from cli.formatting import columns_of, printable
from cli.output import is_terminal, print_item, print_title, terminal_columns
from client.why import Explanation


def print_explanation(explanation: Explanation, *, as_json: bool) -> None:
    """Print it; on a terminal no line is longer than the terminal is wide."""
    if as_json:
        print_item("job_why", explanation.to_json())
        return
    print_title(explanation.headline)
    for detail in explanation.details:
        _print_wrapped("  ", detail)
    width = max((columns_of(reason.code) for reason in explanation.reasons), default=0)
    for number, reason in enumerate(explanation.reasons, start=1):
        lead = f"  {number}. {reason.code.ljust(width)}  "
        _print_wrapped(lead, reason.text)
    for place, remedy in enumerate(explanation.remedies):
        click.echo(f"{'  try:  ' if place == 0 else '        '}{printable(remedy)}")


def _print_wrapped(lead: str, text: str) -> None:
    """Text behind a lead; on a terminal it is broken between words, and further lines stand below the first."""
    text = printable(text)
    if not is_terminal(sys.stdout):
        click.echo(f"{printable(lead)}{text}".rstrip())
        return
    room = max(20, terminal_columns() - columns_of(lead))
    lines = textwrap.wrap(text, room) or [""]
    indent = " " * columns_of(lead)
    for place, line in enumerate(lines):
        click.echo(f"{printable(lead) if place == 0 else indent}{line}".rstrip())
