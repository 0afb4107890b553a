"""`/outputs`: data sets that jobs have made, their images by number, never by path."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from client.gallery import Found
from client.outputs import output_facts
from client.values import value_text
from client.wording import age, count, size
from server.cells import Cell, columns, job_link, rows, state_cell
from server.pages.common import facts
from server.queries import number_of, one_of, read_query
from server.site import Context, Site, site_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from storage.manifest import ShardRow

OUTPUTS = columns("Job#|Name|Kind|State|Images#|Shards#|Size#|Age#")
SHOWN_OUTPUTS = 200
PAGE, MOST_PAGE = 60, 240
SHOWN_ANIMATIONS = 12
FOR_EVER = {
    "cache-control": "private, max-age=31536000, immutable"
}  # an image never changes; its number is never reused


async def outputs(request: Request) -> Response:
    """The newest data sets."""
    site = site_of(request)
    read_query(request, ())
    return await site.page(request, "outputs.html.j2", load)


def load(session: "Session") -> dict[str, Any]:
    """Read all that jobs have published."""
    from db.views import list_outputs
    from db.workers import database_time

    lines, at = list_outputs(session)[::-1], database_time(session)
    found = []
    for line in lines[:SHOWN_OUTPUTS]:
        job = line.job
        name, state = Cell(job.name, f"/outputs/{job.id}"), state_cell(job.state.value)
        numbers = [count(line.images), count(line.shards), size(line.size_bytes), age(job.submitted_at, at)]
        found.append([job_link(job.id), name, job.kind, state, *numbers])
    left = max(0, len(lines) - SHOWN_OUTPUTS)
    return {"here": "/outputs", "live": 15, "columns": OUTPUTS, "rows": rows(found, OUTPUTS), "left": left}


async def output(request: Request) -> Response:
    """The images of one data set, page by page, of one class if that is wanted."""
    site = site_of(request)
    query = read_query(request, ("from", "label", "n"))
    start, most = number_of(query, "from", default=0), number_of(query, "n", default=PAGE, most=MOST_PAGE) or PAGE
    job_id: int = request.path_params["job_id"]

    def more(known: Context) -> Context:
        found: Found | None = known["found"]
        return {} if found is None else _gallery(site, found, query, start, most)

    return await site.page(request, "output.html.j2", lambda session: _load_output(site, session, job_id), more)


def _load_output(site: Site, session: "Session", job_id: int) -> dict[str, Any]:
    from client.outputs import read_output

    output = read_output(session, site.workspace, job_id)
    told = {name: value for name, value in output_facts(output).items() if name not in _ELSEWHERE}
    texts = {name: size(value) if name == "size_bytes" else value_text(value) for name, value in told.items()}
    return {
        "here": "/outputs",
        "job_id": job_id,
        "name": output.name,
        "facts": facts({name.removesuffix("_bytes").replace("_", " "): text for name, text in texts.items()}),
        "counts": output.result.get("class_counts") or {},
        "warnings": output.result.get("warnings") or [],
        "found": None if output.has_files else site.gallery.find(session, job_id),
        "images": [],
    }


_ELSEWHERE = ("class_counts", "warnings", "images", "animations", "choices")


def _gallery(site: Site, found: Found, query: Mapping[str, str], start: int, most: int) -> dict[str, Any]:
    """The images from `start` on, and the way to those before and after them."""
    marker = site.gallery.marker(found)
    classes = list(marker.meta.class_names)
    label = one_of(query, "label", [*classes, *map(str, range(len(classes)))])
    number = None if label is None else classes.index(label) if label in classes else int(label)
    shown = site.gallery.rows(found, start, most + 1, number)
    rest = {**({"label": label} if label else {}), **({"n": most} if most != PAGE else {})}
    return {
        "images": [_tile(row, classes) for row in shown[:most]],
        "classes": classes,
        "label": label or "",
        "total": found.images,
        "start": start,
        "older": _page(found, {"from": shown[most].index, **rest}) if len(shown) > most else None,
        "first": _page(found, rest) if start else None,
        "animations": range(min(SHOWN_ANIMATIONS, len(site.gallery.animations(found)))),
        "pixels": f"{marker.width}×{marker.height}",
        "scale": max(1, 96 // max(1, marker.width)),
    }


def _page(found: Found, query: Mapping[str, Any]) -> str:
    return f"/outputs/{found.output.job_id}" + (f"?{urlencode(query)}" if query else "")


def _tile(row: "ShardRow", classes: Sequence[str]) -> dict[str, Any]:
    name = classes[row.label] if row.label is not None and row.label < len(classes) else row.label
    return {"index": row.index, "label": "" if name is None else str(name)}


async def image_page(request: Request) -> Response:
    """One image, its row of the manifest, and how it is made again."""
    site = site_of(request)
    read_query(request, ())
    job_id, index = request.path_params["job_id"], request.path_params["index"]

    def read(session: "Session") -> dict[str, Any]:
        found = site.gallery.find(session, job_id)
        found.record_of(index)
        return {"found": found, "index": index, "job_id": job_id, "here": "/outputs", "name": found.output.name}

    return await site.page(request, "image.html.j2", read, lambda known: _image(site, known["found"], index))


def _image(site: Site, found: Found, index: int) -> dict[str, Any]:
    row, record, marker = site.gallery.row(found, index), found.record_of(index), site.gallery.marker(found)
    classes = marker.meta.class_names
    named = classes[row.label] if row.label is not None and row.label < len(classes) else None
    told: dict[str, Any] = {
        "index": f"{row.index:,}",
        "key": row.key,
        "class": "" if named is None else f"{named} (label {row.label})",
        "seed": str(row.seed),
        "size": f"{row.width} × {row.height} pixels, {size(row.size)}",
        "shard": f"{record.tar}, byte {row.offset:,}",
        "encoder": f"{marker.encoder} {marker.encoder_version}",
        "SHA-256": Cell(row.sha256.hex(), kind="mono"),
    }
    extra = row.edit or row.choice
    told |= {name: value_text(value) for name, value in asdict(extra).items() if value is not None} if extra else {}
    last = found.images - 1
    return {
        "facts": facts(told),
        "command": f"pixmill output regenerate {found.output.job_id} --index {index} --to image.{record.ending}",
        "before": index - 1 if index else None,
        "after": index + 1 if index < last else None,
        "scale": max(1, 384 // max(1, row.width)),
        "size": (row.width, row.height),
        "can_be_made": found.output.kind == "generate",
    }


async def image(request: Request) -> Response:
    """The stored bytes of one image."""
    site = site_of(request)
    read_query(request, ())
    job_id, index = request.path_params["job_id"], request.path_params["index"]
    found = await site.found(job_id)
    picture = await site.reader.fetch(lambda: site.gallery.picture(found, index))
    return _forever(request, picture.content, picture.media_type, picture.sha256[:32])


async def animation(request: Request) -> Response:
    """One animated WebP."""
    site = site_of(request)
    read_query(request, ())
    job_id, number = request.path_params["job_id"], request.path_params["number"]
    found = await site.found(job_id)
    content = await site.reader.fetch(lambda: site.gallery.animation(found, number))
    return _forever(request, content, "image/webp", f"{job_id}-{number}")


async def contact_sheet(request: Request) -> Response:
    """The picture of the first images."""
    site = site_of(request)
    read_query(request, ())
    job_id = request.path_params["job_id"]
    found = await site.found(job_id)
    content = await site.reader.fetch(lambda: site.gallery.contact_sheet(found))
    return _forever(request, content, "image/png", f"{job_id}-sheet")


def _forever(request: Request, content: bytes, media_type: str, tag: str) -> Response:
    headers = {**FOR_EVER, "etag": f'"{tag}"'}
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)


routes = [
    Route("/outputs", outputs),
    Route("/outputs/{job_id:int}", output),
    Route("/outputs/{job_id:int}/contact-sheet.png", contact_sheet),
    Route("/outputs/{job_id:int}/images/{index:int}", image),
    Route("/outputs/{job_id:int}/animations/{number:int}.webp", animation),
    Route("/outputs/{job_id:int}/{index:int}", image_page),
]
