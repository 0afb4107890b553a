"""`/pipelines` and `/schedules`: what follows what, and what runs by itself."""

from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from client.pipelines import run_fields, run_row, step_row, step_tree
from client.schedules import coming_times, due_row, schedule_row
from pixmill.states import PipelineState
from server.cells import Cell, columns, job_link, rows, state_cell
from server.pages.common import facts
from server.queries import read_query
from server.site import site_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

RUNS = columns("Run#|Name|State|Steps#|Schedule|Scheduled for|Age#|Time#|Reason~")
STEPS = columns("Step|Kind|State|Job#|Values~|Reason~")
SCHEDULES = columns("Name|Cron|Zone|State|Next|Last#|Result|Job#|Reason~")
COMING = columns("Scheduled for|In#|Begins|Schedule|Note~")
SHOWN_RUNS, SHOWN_TIMES = 50, 12


async def pipelines(request: Request) -> Response:
    """The last runs."""
    site = site_of(request)
    read_query(request, ())
    return await site.page(request, "pipelines.html.j2", load_runs)


def load_runs(session: "Session") -> dict[str, Any]:
    """Read the last runs, the newest first."""
    from db.pipelines import view_runs
    from db.workers import database_time

    at = database_time(session)
    views = sorted(view_runs(session, SHOWN_RUNS), key=lambda view: -view.run.id)
    found = []
    for view in views:
        number, name, state, *rest = run_row(view, at)
        link = f"/pipelines/{number}"
        found.append([Cell(number, link, "number"), Cell(name, link), state_cell(state), *rest])
    return {"here": "/pipelines", "live": 10, "columns": RUNS, "rows": rows(found, RUNS)}


async def pipeline(request: Request) -> Response:
    """One run as a tree of steps."""
    site = site_of(request)
    read_query(request, ())
    run_id: int = request.path_params["run_id"]
    return await site.page(request, "pipeline.html.j2", lambda session: load_run(session, run_id))


def load_run(session: "Session", run_id: int) -> dict[str, Any]:
    """Read one run.  Raises NotFound."""
    from db.pipelines import view_run
    from db.workers import database_time

    view = view_run(session, run_id)
    found = []
    for branch, line in step_tree(view.lines):
        name, kind, state, _job, values, reason = step_row(branch, line)
        found.append([Cell(name, kind="tree"), kind, state_cell(state), job_link(line.step.job_id), values, reason])
    told = {name: value for name, value in run_fields(view, database_time(session)).items() if name != "state"}
    return {
        "here": "/pipelines",
        "live": 5 if view.run.state is PipelineState.RUNNING else 0,
        "run": {"id": view.run.id, "name": view.run.name, "state": view.run.state.value},
        "facts": facts(told),
        "columns": STEPS,
        "rows": rows(found, STEPS),
    }


async def schedules(request: Request) -> Response:
    """All schedules, and their next times."""
    site = site_of(request)
    read_query(request, ())
    return await site.page(request, "schedules.html.j2", load_schedules)


def load_schedules(session: "Session") -> dict[str, Any]:
    """Read all schedules."""
    from db.schedules import schedule_lines
    from db.workers import database_time

    lines, at = schedule_lines(session), database_time(session)
    found = []
    for line in lines:
        name, cron, zone, state, coming, last, result, unit, reason = schedule_row(line, at)
        cells = [name, Cell(cron, kind="mono"), zone, state_cell(state), coming, last, state_cell(result)]
        found.append([*cells, _unit(line, unit), reason])
    due = coming_times([line.schedule for line in lines], SHOWN_TIMES)
    return {
        "here": "/schedules",
        "live": 15,
        "columns": SCHEDULES,
        "rows": rows(found, SCHEDULES),
        "coming_columns": COMING,
        "coming": rows([due_row(schedule, one, at) for schedule, one in due], COMING),
    }


def _unit(line: Any, text: str) -> Cell:
    """The job or the run of a schedule's last time."""
    if line.last is None:
        return Cell("–")
    if line.last.pipeline is not None:
        return Cell(text, f"/pipelines/{line.last.pipeline.id}", "number")
    return job_link(line.last.run.job_id)


routes = [
    Route("/pipelines", pipelines),
    Route("/pipelines/{run_id:int}", pipeline),
    Route("/schedules", schedules),
]
