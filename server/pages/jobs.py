"""`/jobs`: lists of jobs, filtered by the address, page by page."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pixmill.specs import KINDS
from pixmill.states import State
from server.cells import rows
from server.pages.common import JOB_COLUMNS, job_row
from server.queries import label_of, number_of, one_of, read_query
from server.site import Site, site_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

FILTERS = ("state", "kind", "queue", "user", "label", "array")
PAGE = 50
STATES = tuple(state.value for state in State)


async def jobs(request: Request) -> Response:
    """The newest jobs that the filters let through."""
    site = site_of(request)
    query = read_query(request, (*FILTERS, "before"))
    before = number_of(query, "before")
    one_of(query, "state", STATES)
    one_of(query, "kind", tuple(KINDS))
    label_of(query)
    number_of(query, "array")
    return await site.page(request, "jobs.html.j2", lambda session: load(site, session, query, before))


def load(site: Site, session: "Session", query: Mapping[str, str], before: int | None) -> dict[str, Any]:
    """Read one page of the list."""
    from client.jobs import read_jobs
    from client.situation import read_situation
    from db.listing import JobFilter
    from db.reasons import all_queues

    chosen = JobFilter(
        states=(State(query["state"]),) if "state" in query else (),
        kinds=(query["kind"],) if "kind" in query else (),
        labels=label_of(query),
        queues=(query["queue"],) if "queue" in query else (),
        users=(query["user"],) if "user" in query else (),
        arrays=(number_of(query, "array"),) if "array" in query else (),
        collapses="array" not in query,
        before=before,
    )
    lines, more = read_jobs(session, chosen, PAGE, None)
    situation = read_situation(session, site.reader.lease_seconds, lines)
    filters = {name: query[name] for name in FILTERS if name in query}
    return {
        "here": "/jobs",
        "live": 0 if before is not None else 5,
        "columns": JOB_COLUMNS,
        "rows": rows([job_row(line, situation) for line in reversed(lines)], JOB_COLUMNS),
        "query": query,
        "filters": filters,
        "states": STATES,
        "kinds": tuple(KINDS),
        "queues": sorted(all_queues(session)),
        "older": f"/jobs?{urlencode({**filters, 'before': lines[0].job.id})}" if more else None,
        "newest": f"/jobs?{urlencode(filters)}" if before is not None else None,
    }


routes = [Route("/jobs", jobs)]
