"""`pixmill dataset`: real images under a name."""

import re
from typing import TYPE_CHECKING, Any

import click

from cli.context import Workspace, pass_workspace, user_name
from cli.lazy import NamedGroup
from cli.listing import Listing, Shape, Telling, listing_options, print_listing
from cli.output import (
    Column,
    print_fields,
    print_item,
    print_title,
    say,
    say_next,
)
from cli.params import DATASET, MODEL, examples, output_option
from cli.removing import Removal, agreed, removal_options
from client.moments import ago, stamp
from client.wording import count, plural
from pixmill.datasets import SHOWN_DIGITS
from pixmill.errors import UserError
from pixmill.names import NAME_PATTERN

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from db.tables.models import RegisteredDataset

COLUMNS = [
    Column(title="NAME"),
    Column(title="SOURCE", shrinks=True, least=16),
    Column(title="IMAGES", align="right"),
    Column(title="SHAPE"),
    Column(title="CLASSES", align="right", dropped=1),
    Column(title="FINGERPRINT", dropped=3),
    Column(title="BY", dropped=2),
    Column(title="AGE", align="right"),
]
LISTING = Listing(schema="dataset_list", columns=COLUMNS)

SHOWN_BAD_IMAGES = 5


@click.group(
    "dataset", cls=NamedGroup, epilog=examples("pixmill dataset add galaxies folder:/data/galaxies --image-size 32")
)
def command() -> None:
    """Real images under a name of your own, for `--dataset NAME`.

    A job that names a registered data set is trained on exactly what was registered when it was submitted, or fails.
    """


@command.command(
    "add",
    epilog=examples(
        "pixmill dataset add galaxies folder:/data/galaxies --image-size 32",
        "pixmill dataset add made 'tar:/srv/pixmill/outputs/2' --replace",
    ),
)
@click.argument("name")
@click.argument("source")
@click.option("--image-size", type=int, metavar="PIXELS", help="Side of the square images.  [default: the data's]")
@click.option("--channels", type=click.Choice([1, 3]), help="1 gray, 3 RGB.  [default: the data's]")
@click.option(
    "--on-bad-image",
    type=click.Choice(["fail", "skip"]),
    default="fail",
    show_default=True,
    help="What an unreadable image means.",
)
@click.option("--replace", is_flag=True, help="Let the name stand for other data from now on.")
@output_option("text", "json")
@pass_workspace
def add(
    workspace: Workspace,
    name: str,
    source: str,
    *,
    image_size: int | None,
    channels: int | None,
    on_bad_image: str,
    replace: bool,
    output_format: str,
) -> None:
    """Read a data set once, and remember it under NAME.

    SOURCE is what --dataset takes: digits, mnist, …, or folder:, zip:, tar: or idx:PATH. Images are not copied.
    """
    from cli.datasetreading import read_dataset
    from db.datasets import NewDataset, Registration, register_dataset, registered_dataset
    from scheduler.validation import check_place

    _check_name(name)
    place = check_place(source)
    way: Any = on_bad_image
    data = read_dataset(workspace, place, image_size=image_size, channels=channels, on_bad_image=way)
    new = NewDataset(
        name=name, source=place, on_bad_image=on_bad_image, description=data.describe(), user_name=user_name()
    )
    outcome = workspace.database.transact(lambda session: register_dataset(session, new, replace=replace))
    with workspace.database.read() as session:
        row = registered_dataset(session, name)
    if output_format == "json":
        print_item("dataset", {**_json(row), "registration": outcome.value})
        return
    words = {Registration.UNCHANGED: "was registered already; nothing has changed"}.get(outcome, f"is {outcome.value}")
    say(f"data set {name} {words}: {plural(row.image_count, 'image')}, {_classes(row)}, fingerprint {_short(row)}")
    say_next(f"look at it:  pixmill dataset show {name}", f"use it:      pixmill submit train --dataset {name} …")


def _check_name(name: str) -> None:
    from scheduler.validation import RESERVED_NAMES

    if not re.fullmatch(NAME_PATTERN, name):
        raise UserError(
            f"{name!r} cannot name a data set",
            hint="use letters, digits, dots, dashes and underscores, 100 at most, beginning with a letter or digit",
        )
    if name in RESERVED_NAMES:
        raise UserError(f"{name!r} is a kind of data set that pixmill knows by itself", hint="choose another name")


@command.command("ls", epilog=examples("pixmill dataset ls", "pixmill dataset ls -o json"))
@listing_options(LISTING)
@pass_workspace
def ls(workspace: Workspace, shape: Shape) -> None:
    """List the registered data sets; `-o ids` prints their names."""
    from db.datasets import registered_datasets
    from db.workers import database_time

    with workspace.database.read() as session:
        rows, at = registered_datasets(session), database_time(session)
    telling: Telling[RegisteredDataset] = Telling(
        to_json=_json, row=lambda row: _row(row, at), ident=lambda row: row.name
    )
    print_listing(LISTING, shape, rows, telling, empty="no data set is registered yet: pixmill dataset add --help")


def _row(row: "RegisteredDataset", at: "datetime") -> list[str]:
    return [
        row.name,
        row.source,
        count(row.image_count),
        _shape(row),
        str(len(row.description["classes"]) or "–"),
        _short(row),
        row.user_name,
        ago(row.added_at, at),
    ]


def _shape(row: "RegisteredDataset") -> str:
    return f"{row.image_size}×{row.image_size}×{row.channels}"


def _short(row: "RegisteredDataset") -> str:
    return row.content_fingerprint[:SHOWN_DIGITS]


def _classes(row: "RegisteredDataset") -> str:
    classes = row.description["classes"]
    return "no classes" if not classes else "1 class" if len(classes) == 1 else f"{len(classes):,} classes"


def _json(row: "RegisteredDataset") -> dict[str, Any]:
    names = ["name", "source", "image_size", "channels", "on_bad_image", "fingerprint", "content_fingerprint"]
    described = ["classes", "histogram", "split", "train_images", "test_images", "test_indices_sha256", "bad_images"]
    return {
        **{name: getattr(row, name) for name in names},
        "images": row.image_count,
        **{name: row.description[name] for name in described},
        "bad_images_named": row.description["bad_images_named"],
        "user": row.user_name,
        "added_at": row.added_at,
    }


@command.command("show", epilog=examples("pixmill dataset show galaxies", "pixmill dataset show galaxies -o json"))
@click.argument("name", type=DATASET)
@output_option("text", "json")
@pass_workspace
def show(workspace: Workspace, name: str, output_format: str) -> None:
    """Show one data set in full: what it holds, how it is parted, and the images of each class."""
    from cli.histogram import histogram_lines
    from db.datasets import registered_dataset

    with workspace.database.read() as session:
        row = registered_dataset(session, name)
    if output_format == "json":
        print_item("dataset", _json(row))
        return
    print_title(f"data set {row.name}")
    print_fields(_fields(row))
    if row.description["histogram"]:
        print_title("images of each class", gap=True)
        for line in histogram_lines(row.description["histogram"]):
            click.echo(line)


def _fields(row: "RegisteredDataset") -> dict[str, str]:
    described = row.description
    fields = {
        "source": row.source,
        "images": f"{row.image_count:,} of {_shape(row)}",
        "split": f"{described['train_images']:,} to train on, {described['test_images']:,} held out "
        f"({described['split']})",
        "held out": f"sha256 of their numbers {described['test_indices_sha256'][:SHOWN_DIGITS]}",
        "bad images": f"{described['bad_images']:,} ({row.on_bad_image})",
        "fingerprint": row.content_fingerprint,
        "as pixels": row.fingerprint,
        "added": f"{stamp(row.added_at)} by {row.user_name}",
    }
    for number, (path, reason) in enumerate(described["bad_images_named"][:SHOWN_BAD_IMAGES], start=1):
        fields[f"bad image {number}"] = f"{path}: {reason}"
    return fields


@command.command("verify", epilog=examples("pixmill dataset verify galaxies", "pixmill dataset verify --all"))
@click.argument("name", required=False, type=DATASET)
@click.option("--all", "everything", is_flag=True, help="Every registered data set.")
@output_option("text", "json")
@click.pass_context
def verify(ctx: click.Context, name: str | None, everything: bool, output_format: str) -> None:
    """Read all files of data sets again, and compare them with what was registered.

    Prints one line for each that has changed or could not be compared; rc 1 if there is one.
    """
    from cli.datasetchanges import compare, print_comparisons
    from db.datasets import registered_dataset, registered_datasets

    if (name is None) == (not everything):
        raise click.UsageError("name one data set, or --all", ctx)
    workspace = ctx.ensure_object(Workspace)
    with workspace.database.read() as session:
        rows = registered_datasets(session) if name is None else [registered_dataset(session, name)]
    found = [compare(workspace, row) for row in rows]
    if output_format == "json":
        items = [
            {"name": each.name, "intact": each.is_intact, "changes": list(each.changes), "hindrance": each.hindrance}
            for each in found
        ]
        print_item("dataset_verification", {"datasets": items})
    else:
        print_comparisons(found)
    if not all(each.is_intact for each in found):
        ctx.exit(1)


@command.command(
    "drift",
    epilog=examples(
        "pixmill dataset drift galaxies folder:/data/galaxies-new",
        "pixmill dataset drift galaxies --against galaxies-vae@champion",
    ),
)
@click.argument("names", metavar="NAME [NEWER]", type=DATASET, nargs=-1, required=True)
@click.option("--against", type=MODEL, metavar="MODEL", help="Compare NAME with what this model was trained on.")
@output_option("text", "json")
@click.pass_context
def drift(ctx: click.Context, names: tuple[str, ...], against: str | None, output_format: str) -> None:
    """Tell how one data set differs from another, or from what a model was trained on: images, classes, levels, looks.

    NAME and NEWER are what --dataset takes, and are read now. rc 1 if a train job would refuse them by its defaults.
    """
    from cli.drifting import drift_against, drift_between, print_drift

    workspace = ctx.ensure_object(Workspace)
    if len(names) + (against is not None) != 2:
        raise click.UsageError("name two data sets, or one and --against MODEL", ctx)
    if against is None:
        known, found = drift_between(workspace, *names)
    else:
        known, found = drift_against(workspace, names[0], against)
    if not print_drift(known, found, as_json=output_format == "json"):
        ctx.exit(1)


@command.command("rm", epilog=examples("pixmill dataset rm galaxies", "pixmill dataset rm galaxies --reason moved -y"))
@click.argument("name", type=DATASET)
@removal_options
@pass_workspace
def rm(workspace: Workspace, /, name: str, **flags: Any) -> None:
    """Forget a name, once it is typed. Images, models and jobs that were submitted stay as they are."""
    from db.datasets import remove_dataset

    removal, actor = Removal(**flags), user_name()

    def act(session: "Session") -> None:
        remove_dataset(session, name, user_name=actor, why=removal.reason)

    if agreed(workspace, removal, f"forget data set {name}", name, act):
        workspace.database.transact(act)
        say(f"data set {name} is no longer registered; its images are where they were")
