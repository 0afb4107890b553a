"""The last screen of the demo."""

from collections.abc import Callable, Sequence

import click

from cli.local.demonstration import CLASSES
from cli.local.findings import Findings, Judgement
from cli.output import Column, print_fields, print_table, print_title

Pick = Callable[[Findings], Judgement | None]


def print_results(findings: Sequence[Findings]) -> None:
    """Print how good the images are, and where everything lies."""
    click.echo()
    print_title("How good are the images?")
    columns = [
        Column(title=""),
        *(Column(title=found.model, align="right") for found in findings),
        Column(title="real images", align="right"),
        Column(title="chance", align="right"),
    ]
    print_table(columns, _rows(findings), empty="no model was judged")
    click.echo("A judge learns from generated images alone, and is tested on real ones it has never seen.")
    for found in findings:
        click.echo()
        print_title(f"{found.model}: {found.images:,} images")
        names = ("training", "images", "quality")
        reports = {f"report: {name}": str(path) for name, path in zip(names, found.reports, strict=True)}
        print_fields({"pictures": str(found.contact_sheet), "data set": str(found.output), **reports})


def _rows(findings: Sequence[Findings]) -> list[list[str]]:
    chance = f"{1 / CLASSES:.1%}"
    return [
        _row("random forest as judge", findings, lambda found: found.forest, "{:.1%}", chance),
        _row("small CNN as judge", findings, lambda found: found.network, "{:.1%}", chance),
        _row("distance from real (kid)", findings, lambda found: found.distance, "{:.4f}", ""),
        ["images made a second", *(_rate(found) for found in findings), "", ""],
    ]


def _row(title: str, findings: Sequence[Findings], pick: Pick, form: str, chance: str) -> list[str]:
    picked = [pick(found) for found in findings]
    real = next((judgement.real for judgement in picked if judgement is not None), None)
    values = [None if judgement is None else judgement.value for judgement in picked]
    return [title, *("–" if value is None else form.format(value) for value in (*values, real)), chance]


def _rate(found: Findings) -> str:
    return "–" if found.images_per_second is None else f"{found.images_per_second:,.0f}"
