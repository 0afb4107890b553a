"""`pixmill model presets`: what can be trained."""

from dataclasses import asdict
from typing import Any

import click

from cli.output import Column, print_list, print_table
from cli.params import examples, output_option

PRESET_COLUMNS = [
    Column(title="PRESET"),
    Column(title="FAMILY"),
    Column(title="MINIMISES"),
    Column(title="SUMMARY", shrinks=True),
]
PRESET_KEYS = ("name", "family", "objective", "summary", "paper")
WIDE_PRESET_COLUMNS = [*PRESET_COLUMNS, Column(title="PAPER", shrinks=True), Column(title="OPTIONS", shrinks=True)]


@click.command("presets", epilog=examples("pixmill model presets", "pixmill model presets -o json"))
@output_option("table", "wide", "json")
def command(output_format: str) -> None:
    """List what can be trained: --model takes the name, --set the options (`-o wide` shows them)."""
    from imagemodels.presets import PRESETS

    items = [
        {
            "name": preset.name,
            "family": preset.family,
            "objective": preset.options.objective,
            "summary": preset.summary,
            "paper": preset.paper,
            "options": asdict(preset.options),
        }
        for preset in PRESETS.values()
    ]
    if output_format == "json":
        print_list("preset_list", items)
        return
    rows = [[str(item[key]) for key in PRESET_KEYS] + [_options(item)] for item in items]
    columns = WIDE_PRESET_COLUMNS if output_format == "wide" else PRESET_COLUMNS
    print_table(columns, [row[: len(columns)] for row in rows], empty="no presets")


def _options(item: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in item["options"].items())
