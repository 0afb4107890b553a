"""`pixmill output find`: which data set, and which model, an image comes from."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from cli.context import Workspace, pass_workspace
from cli.errors import report
from cli.listing import Listing, Shape, Telling, listing_options, print_listing
from cli.output import Column, say
from cli.params import examples
from client.finding import Found, Search
from client.wording import plural
from pixmill.errors import NotFound, UserError

COLUMNS = [
    Column(title="IMAGE", shrinks=True, least=12),
    Column(title="JOB", align="right"),
    Column(title="INDEX", align="right"),
    Column(title="MODEL", shrinks=True, least=8),
    Column(title="SEED", align="right"),
    Column(title="CLASS", shrinks=True),
]
LISTING = Listing(schema="image_list", columns=COLUMNS)

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_MOST_BYTES = 1_000_000_000  # a larger file is no image of ours

Named = Mapping[str, str]  # sha256 → what it was called on the command line


@click.command(
    "find",
    epilog=examples("pixmill output find cat.png", "pixmill output find *.png -o csv --columns image,job_id,index"),
)
@click.argument("images", metavar="FILE|SHA256…", nargs=-1, required=True, type=click.Path())
@listing_options(LISTING)
@pass_workspace
def command(workspace: Workspace, images: Sequence[str], shape: Shape) -> None:
    """Find images in the data sets that jobs have made: which job, which number, and which model.

    An image is named by its file, or by the file's sha256. A file that was changed, or written again by another
    program, is not found. Data sets are looked through from the newest on; rc 3 if an image is in none.
    """
    named = {_sha256_of(image): image for image in images}
    search = Search(workspace, named)
    found = list(search)
    telling: Telling[Found] = Telling(
        to_json=lambda one: _json(one, named),
        row=lambda one: _row(one, named),
        ident=lambda one: one.output.job_id,
    )
    print_listing(LISTING, shape, found, telling, empty="no data set has such an image")
    for error in search.errors:
        report(error)
    if search.unfinished:
        say(f"not looked through: {plural(len(search.unfinished), 'data set')} that are not complete")
    _require_all(named, found, unread=bool(search.errors))


def _require_all(named: Named, found: Sequence[Found], *, unread: bool) -> None:
    known = {one.row["sha256"] for one in found}
    missing = [name for sha256, name in named.items() if sha256 not in known]
    if missing:
        more = f", and {len(missing) - 1:,} more" if len(missing) > 1 else ""
        raise NotFound(f"{missing[0]}{more}: in no data set that could be read", hint="pixmill output ls")
    if unread:
        click.get_current_context().exit(1)


def _sha256_of(image: str) -> str:
    from storage.atomic import sha256_file

    path = Path(image)
    try:
        if path.is_file():
            if path.stat().st_size > _MOST_BYTES:
                raise UserError(f"{image} is too large to be an image", hint="name the file of one image")
            return sha256_file(path)
    except OSError as error:
        raise UserError(f"cannot read {image}: {error.strerror}", hint="name a file, or the sha256 of one") from error
    if not _SHA256.fullmatch(image):
        raise UserError(f"{image} is neither a file nor a sha256 of 64 digits", hint="name a file, or its sha256")
    return image.lower()


def _row(one: Found, named: Named) -> list[str]:
    item = _json(one, named)
    cells = [item[name] for name in ("image", "job_id", "index", "model", "seed", "class")]
    return ["–" if cell is None else str(cell) for cell in cells]


def _json(one: Found, named: Named) -> dict[str, Any]:
    row = one.row
    return {
        "image": named[row["sha256"]],
        "sha256": row["sha256"],
        "job_id": one.output.job_id,
        "name": one.output.name,
        "index": row["index"],
        "key": row["key"],
        "model": one.model,
        "seed": row["seed"],
        "label": row["label"],
        "class": row.get("class"),
    }
