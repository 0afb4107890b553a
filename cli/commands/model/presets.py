"""`pixmill model presets`: what can be trained."""

from dataclasses import asdict
from typing import Any

import click

from cli.listing import Listing, Shape, Telling, listing_options, print_listing
from cli.output import Column
from cli.params import examples

COLUMNS = [
    Column(title="PRESET"),
    Column(title="FAMILY"),
    Column(title="MINIMISES"),
    Column(title="SUMMARY", shrinks=True),
    Column(title="PAPER", shrinks=True, wide=True),
    Column(title="OPTIONS", shrinks=True, wide=True),
]
KEYS = ("name", "family", "objective", "summary", "paper")
LISTING = Listing(schema="preset_list", columns=COLUMNS)


@click.command("presets", epilog=examples("pixmill model presets", "pixmill model presets -o json"))
@listing_options(LISTING)
def command(shape: Shape) -> None:
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
    telling = Telling[dict[str, Any]](to_json=dict, row=_row, ident=lambda item: item["name"])
    print_listing(LISTING, shape, items, telling, empty="no presets")


def _row(item: dict[str, Any]) -> list[str]:
    return [*(str(item[key]) for key in KEYS), _options(item)]


def _options(item: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in item["options"].items())
