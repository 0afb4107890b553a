"""`/jobs/ID`: one job in full, with its curves."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from client.comparing import stored_metrics
from client.jobfields import head_fields, result_fields
from client.jobrows import attempt_row, event_row, rate_row, task_row
from client.metrics import controls_of, number
from client.moments import stamp
from client.values import spec_fields
from client.wording import count
from pixmill.errors import NotFound
from pixmill.kinds import DATASET_MAKERS
from pixmill.states import State
from server.cells import Cell, Row, columns, rows, state_cell
from server.pages.common import facts, parted, progress
from server.pages.drawing import curve_panels
from server.queries import read_query
from server.site import Context, Site, site_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from client.jobdetails import JobDetails
    from db.ends import Ends

SHOWN_ROWS = 24  # of tasks, attempts and events
SHOWN_GRIDS = 4
TASKS = columns("Task#|Role|State|Progress#|Time#|Tries#|Failed#|Lost#|Stopped#|Reason~")
ATTEMPTS = columns("Attempt#|Task#|Worker|Outcome|Time#|Folder|Reason~")
EVENTS = columns("At|Who|What|Task#|State|Detail~")
GATES = columns("Gate|Rule|Outcome|Numbers~")
RATES = columns("Files|Bits/pixel#|PSNR#|SSIM#")


async def job(request: Request) -> Response:
    """Where it stands and why, what it consists of, what happened."""
    site = site_of(request)
    read_query(request, ())
    job_id: int = request.path_params["job_id"]
    more = None if not await _is_training(site, job_id) else _drawn
    return await site.page(request, "job.html.j2", lambda session: load(site, session, job_id), more)


async def curves(request: Request) -> Response:
    """The curves of a train job, for the script that draws them."""
    from client.jobreport.curves import curve_files, curves_json, read_curves

    site = site_of(request)
    read_query(request, ())
    job_id: int = request.path_params["job_id"]
    files = await site.reader.ask(lambda session: curve_files(session, site.settings, job_id))
    return JSONResponse(await site.reader.fetch(lambda: curves_json(read_curves(files))))


async def samples(request: Request) -> Response:
    """A grid of samples of a train job, by the number of images that it had seen."""
    from client.jobreport.curves import curve_files, read_curves

    site = site_of(request)
    read_query(request, ())
    job_id, seen = request.path_params["job_id"], request.path_params["images_seen"]

    def content() -> bytes:
        found = next((grid.image for grid in read_curves(files).grids if grid.images_seen == seen), None)
        if found is None:
            raise NotFound(f"job {job_id} has no samples after {seen:,} images", hint=f"pixmill job show {job_id}")
        return found.read_bytes()  # type: ignore[union-attr]  # a file in the folder of an attempt

    files = await site.reader.ask(lambda session: curve_files(session, site.settings, job_id))
    return Response(await site.reader.fetch(content), media_type="image/png")


async def _is_training(site: Site, job_id: int) -> bool:
    from db.finding import get_job

    return await site.reader.ask(lambda session: get_job(session, job_id).kind == "train")


def load(site: Site, session: "Session", job_id: int) -> dict[str, Any]:
    """Read all that is known of it, in plain values."""
    from client.jobdetails import read_details
    from client.why import explain

    details = read_details(session, site.settings, job_id, most=SHOWN_ROWS)
    line, at = details.line, details.situation.at
    job = line.job
    return {
        "here": "/jobs",
        "live": 0 if job.state.is_terminal else 4,
        "job": {"id": job.id, "name": job.title, "kind": job.kind, "state": job.state.value},
        "submitted": stamp(job.submitted_at),
        "progress": progress(line),
        "why": explain(session, site.reader.lease_seconds, job_id).to_json(),
        "head": facts(_head(details)),
        "spec": facts(spec_fields({"kind": job.kind, **job.spec})),
        "result": facts(_result(details)),
        "links": _links(details, _model_of(session, job_id) if job.kind == "train" else None),
        "tables": [*_findings(details), *_parts(details, at)],
        "acts": _acts(job.state),
        "files": _files(site, session, job_id) if job.kind == "train" else None,
        "panels": [],
        "grids": [],
    }


def _head(details: "JobDetails") -> dict[str, Any]:
    found: dict[str, Any] = {name: value for name, value in head_fields(details).items() if name != "state"}
    place = details.line.place
    if place is not None:
        found["pipeline"] = Cell(found["pipeline"], f"/pipelines/{place.run.id}")
    if "array" in found:
        found["array"] = Cell(found["array"], f"/jobs?array={details.line.job.array_id}")
    return found


def _result(details: "JobDetails") -> dict[str, str]:
    found: dict[str, str] = {}
    for result in details.results:
        found |= result_fields(result, details.root)
    return found


def _model_of(session: "Session", job_id: int) -> str | None:
    from db.registry import version_of_job

    version = version_of_job(session, job_id)
    return version.model.name if version else None


def _links(details: "JobDetails", model: str | None) -> list[tuple[str, str]]:
    job = details.line.job
    found = [("Report", f"/reports/{job.id}")]
    if job.kind in DATASET_MAKERS and job.state is State.SUCCEEDED:
        found.append(("Images", f"/outputs/{job.id}"))
    if isinstance(job.spec.get("output"), int):
        found.append((f"Images of job {job.spec['output']}", f"/outputs/{job.spec['output']}"))
    return [*found, (f"Model {model}", f"/models/{model}")] if model else found


def _acts(state: State) -> list[str]:
    """What may be done with a job that stands so."""
    if state is State.RUNNING:
        return ["requeue", "cancel"]
    if state is State.HELD:
        return ["release", "cancel"]
    if state in {State.PENDING, State.QUEUED}:
        return ["hold", "cancel"]
    return ["retry"] if state in {State.FAILED, State.CANCELLED} else []


def _findings(details: "JobDetails") -> list[dict[str, Any]]:
    """What was measured and judged."""
    gates = [row for result in details.results for row in result.get("gates", ())]
    rates = [rate for result in details.results for rate in result.get("rates", ())]
    metrics = stored_metrics(details.metrics)
    controls = controls_of(metrics)
    heads = columns("|".join(["Metric", "Value#", "N#", "Better", *(f"{one.title.capitalize()}#" for one in controls)]))
    measured = [
        [one.name, number(one.value), count(one.n), one.better, *(number(mark.value(one)) for mark in controls)]
        for one in metrics
    ]
    outcomes = [[row["gate"], row["rule"], state_cell(row["outcome"]), row["text"]] for row in gates]
    return [
        _table("Gates", GATES, outcomes),
        _table("Sizes and losses", RATES, [rate_row(rate) for rate in rates]),
        _table("Metrics", heads, [] if rates else measured),
    ]


def _parts(details: "JobDetails", at: Any) -> list[dict[str, Any]]:
    tasks = _ends(details.tasks, lambda _number, task: _with_state(task_row(task, at), 2), len(TASKS))
    attempts = _ends(details.attempts, lambda place, row: _with_state(attempt_row(place, row, at), 3), len(ATTEMPTS))
    events = _ends(details.events, lambda _number, row: _with_state(event_row(row), 4), len(EVENTS))
    return [_table("Tasks", TASKS, tasks), _table("Attempts", ATTEMPTS, attempts), _table("Events", EVENTS, events)]


def _with_state(cells: list[str], place: int) -> list[Any]:
    return [*cells[:place], state_cell(cells[place]), *cells[place + 1 :]]


def _ends(ends: "Ends[Any]", row: Any, width: int) -> list[Any]:
    first = [row(number, item) for number, item in enumerate(ends.first, start=1)]
    last = [row(number, item) for number, item in enumerate(ends.last, start=ends.count - len(ends.last) + 1)]
    return parted(first, last, ends.left_out, width)


def _table(title: str, heads: Any, found: list[Any]) -> dict[str, Any]:
    cells: list[Row] = rows(found, heads)
    return {"title": title, "columns": heads, "rows": cells}


def _files(site: Site, session: "Session", job_id: int) -> Any:
    from client.jobreport.curves import curve_files

    return curve_files(session, site.settings, job_id)


def _drawn(found: Context) -> Mapping[str, Any]:
    """The curves of a train job as pictures, and its last samples."""
    from client.jobreport.curves import read_curves

    curves = read_curves(found["files"])
    seen = [grid.images_seen for grid in curves.grids]
    return {"panels": curve_panels(curves), "grids": [(count(images), images) for images in seen[-SHOWN_GRIDS:]]}


routes = [
    Route("/jobs/{job_id:int}", job),
    Route("/jobs/{job_id:int}/curves.json", curves),
    Route("/jobs/{job_id:int}/samples/{images_seen:int}.png", samples),
]
