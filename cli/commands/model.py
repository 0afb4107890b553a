"""`pixmill model`: trained models, and the presets to train."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.context import Workspace, pass_workspace
from cli.formatting import age, count
from cli.output import Column, print_item, print_list, print_table, say
from cli.params import examples, output_option

if TYPE_CHECKING:
    from datetime import datetime

    from db.tables import ModelVersion

COLUMNS = [
    Column(title="MODEL", shrinks=True),
    Column(title="PRESET"),
    Column(title="DATASET", shrinks=True, dropped=1),
    Column(title="SHAPE"),
    Column(title="CLASSES", align="right", dropped=2),
    Column(title="IMAGES", align="right"),
    Column(title="METRIC", shrinks=True, dropped=3),
    Column(title="VALUE", align="right"),
    Column(title="JOB", align="right"),
    Column(title="AGE", align="right"),
]
PRESET_COLUMNS = [
    Column(title="PRESET"),
    Column(title="FAMILY"),
    Column(title="MINIMISES"),
    Column(title="SUMMARY", shrinks=True),
]
PRESET_KEYS = ("name", "family", "objective", "summary", "paper")
WIDE_PRESET_COLUMNS = [*PRESET_COLUMNS, Column(title="PAPER", shrinks=True), Column(title="OPTIONS", shrinks=True)]


@click.group("model", epilog=examples("pixmill model ls"))
def command() -> None:
    """Trained models, and the presets to train."""


@command.command("ls", epilog=examples("pixmill model ls", "pixmill model ls --name vae-digits -o json"))
@click.option("--name", help="Only the versions of this model.")
@output_option("table", "json")
@pass_workspace
def ls(workspace: Workspace, name: str | None, output_format: str) -> None:
    """List the versions of all models, the newest of each first.

    VALUE is the model's own measure of quality, named in METRIC: less is better, but of `accuracy` and `psnr` more.
    """
    from db.registry import list_versions
    from db.workers import database_time

    with workspace.database.read() as session:
        versions = list_versions(session, name)
        at = database_time(session)
    if output_format == "json":
        print_list("model_list", [_json(version) for version in versions])
        return
    empty = f"no model is called {name!r}" if name else "no model is trained yet: pixmill submit train --help"
    print_table(COLUMNS, [_row(version, at) for version in versions], empty=empty)


def _row(version: "ModelVersion", at: "datetime") -> list[str]:
    return [
        f"{version.model.name}@{version.version}",
        version.preset,
        version.dataset.name,
        f"{version.image_size}×{version.image_size}×{version.channels}",
        str(len(version.classes) or "–"),
        count(version.images_seen),
        version.metric_name or "–",
        "–" if version.metric_value is None else f"{version.metric_value:.4g}",
        str(version.job_id),
        age(version.created_at, at),
    ]


def _json(version: "ModelVersion") -> dict[str, Any]:
    names = ["version", "preset", "job_id", "folder", "digest", "image_size", "channels", "classes", "images_seen"]
    names += ["metric_name", "metric_value", "lineage", "created_at"]
    return {
        "model": f"{version.model.name}@{version.version}",
        "name": version.model.name,
        **{name: getattr(version, name) for name in names},
        "dataset": {"name": version.dataset.name, "fingerprint": version.dataset.fingerprint},
    }


@command.command("show", epilog=examples("pixmill model show digits", "pixmill model show predrnn-digits@2 -o json"))
@click.argument("name", metavar="MODEL")
@output_option("text", "json")
@pass_workspace
def show(workspace: Workspace, name: str, output_format: str) -> None:
    """Show one model, NAME, NAME@VERSION or job:ID, with everything that was measured of it, the newest first."""
    from cli.modeldetails import measurements_json, print_model, read_model

    with workspace.database.read() as session:
        details = read_model(session, name)
        if output_format == "json":
            print_item("model", {**_json(details.version), "measurements": measurements_json(details)})
        else:
            print_model(details, workspace.settings.storage_root)


@command.command(
    "compare",
    epilog=examples("pixmill model compare digits@1 digits@2", "pixmill model compare forest vae --out both.html"),
)
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write an HTML page, too.")
@output_option("table", "json")
@pass_workspace
def compare(workspace: Workspace, first: str, second: str, out: Path | None, output_format: str) -> None:
    """Put what was measured of two models side by side: NAME, NAME@VERSION or job:ID.

    Generators by their evaluations, codecs by what they compressed, models of sequences and classifiers by the held-out
    data of their training. Of several measurements the newest two count that are of equal data and as many images, by
    the same judge. Numbers are compared where data, feature net and n are equal; the columns between N and BETTER are
    controls.
    """
    from cli.comparing import compare_models, comparison_json, comparison_report, comparison_table
    from cli.reporting import written
    from reports.comparison import write_comparison
    from storage.paths import Layout

    with workspace.database.read() as session:
        compared = compare_models(session, Layout(workspace.settings.storage_root), first, second)
        if out is not None:
            written(lambda path: write_comparison(comparison_report(compared), path), out)
        if output_format == "json":
            print_item("model_comparison", comparison_json(compared))
            return
        print_table(*comparison_table(compared), empty="nothing was measured")
    for note in compared.comparison.notes:
        say(note)
    if out is not None:
        say(f"page: {out}")


@command.command("presets", epilog=examples("pixmill model presets", "pixmill model presets -o json"))
@output_option("table", "wide", "json")
def presets(output_format: str) -> None:
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
