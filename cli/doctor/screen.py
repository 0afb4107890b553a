"""Findings on a terminal and in a pipe: a line each, and nothing of it is ever cut off.

On a terminal a long detail goes on below itself, and its remedy stands on a line of its own, ready to be copied.
"""

import sys
import textwrap
from collections.abc import Iterable, Sequence

import click

from cli.doctor.findings import Finding, Level
from cli.formatting import printable
from cli.output import STATE_COLORS, Column, has_colors, is_terminal, print_table, say, terminal_columns
from client.wording import plural

COLUMNS = [Column(title="PART"), Column(title="STATE"), Column(title="DETAIL"), Column(title="REMEDY")]
PART_COLUMNS, STATE_COLUMNS = 11, 7
LEAST_COLUMNS = 20  # of the detail, on the narrowest terminal
COLORS = {**STATE_COLORS, Level.PROBLEM: "red"}


def print_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Print each finding: at once on a terminal, as one table in a pipe; gives them all."""
    if is_terminal(sys.stdout):
        return _print_one_by_one(findings)
    found = list(findings)
    rows = [[finding.part, finding.state, finding.detail, finding.remedy or ""] for finding in found]
    print_table(COLUMNS, rows, empty="")
    return found


def _print_one_by_one(findings: Iterable[Finding]) -> list[Finding]:
    found = []
    colored = has_colors(sys.stdout)
    head = f"{'PART':<{PART_COLUMNS}}  {'STATE':<{STATE_COLUMNS}}  DETAIL"
    click.echo(click.style(head, bold=True) if colored else head, color=True)
    for finding in findings:
        for line in finding_lines(finding, terminal_columns(), colored=colored):
            click.echo(line, color=True)
        found.append(finding)
    return found


def finding_lines(finding: Finding, width: int, *, colored: bool) -> list[str]:
    """The lines of one finding, none but a long remedy wider than `width` columns."""
    indent = PART_COLUMNS + STATE_COLUMNS + 4
    room = max(LEAST_COLUMNS, width - indent)
    detail = textwrap.wrap(printable(finding.detail), room, break_long_words=False, break_on_hyphens=False) or [""]
    state = f"{finding.state:<{STATE_COLUMNS}}"
    shown = click.style(state, fg=COLORS.get(finding.state)) if colored else state
    lines = [f"{finding.part:<{PART_COLUMNS}}  {shown}  {detail[0]}"]
    lines += [" " * indent + line for line in detail[1:]]
    if finding.remedy and finding.state is not Level.OK:
        arrow = click.style("→", fg=COLORS.get(finding.state)) if colored else "→"
        lines.append(f"{' ' * (indent - 2)}{arrow} {printable(finding.remedy)}")
    return lines


def verdict(findings: Sequence[Finding]) -> str:
    """All of them in some words."""
    problems = sum(finding.state is Level.PROBLEM for finding in findings)
    warnings = sum(finding.state is Level.WARNING for finding in findings)
    if not problems and not warnings:
        return "nothing is wrong"
    return f"{plural(problems, 'problem')}, {plural(warnings, 'warning')}"


def say_verdict(findings: Sequence[Finding]) -> None:
    """Tell it on stderr."""
    say(verdict(findings))
