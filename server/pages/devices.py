"""`/devices`: who is there, and what ran where in the last day."""

from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from client.fleet import read_fleet
from client.moments import stamp
from client.wording import age, duration, size
from server.cells import Cell, columns, job_link, rows, state_cell
from server.pages.drawing import STYLE_NAMES, busy_share, hours, lane
from server.queries import read_query
from server.site import Site, site_of

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from db.glances import Stay

SPAN = timedelta(hours=24)
SHOWN_STAYS = 40
DEVICES = columns("Device|Host|Model|Memory#|State|Job#|Seen#|Reason~")
STAYS = columns("Started|Device|Job#|Name|Kind|Task#|Outcome|Time#")


async def devices(request: Request) -> Response:
    """The fleet and its last day."""
    site = site_of(request)
    read_query(request, ())
    return await site.page(request, "devices.html.j2", lambda session: load(site, session))


def load(site: Site, session: "Session") -> dict[str, Any]:
    """Read who is there, and the attempts of the last day."""
    from db.glances import stays_since
    from db.workers import database_time

    until = database_time(session)
    since = until - SPAN
    stays = stays_since(session, since)
    fleet = read_fleet(session, site.reader.lease_seconds)
    of_device: dict[tuple[str, str], list[Stay]] = defaultdict(list)
    for stay in stays:
        of_device[stay.host, stay.device].append(stay)
    return {
        "here": "/devices",
        "live": 10,
        "columns": DEVICES,
        "rows": rows([_device_row(member) for member in fleet], DEVICES),
        "lanes": [
            _lane(member.label, of_device[member.worker.device.host, member.worker.device.name], since, until)
            for member in fleet
        ],
        "hours": hours(since, until),
        "kinds": STYLE_NAMES,
        "since": stamp(since),
        "stay_columns": STAYS,
        "stays": rows([_stay_row(stay, until) for stay in stays[: -SHOWN_STAYS - 1 : -1]], STAYS),
        "count": len(stays),
    }


def _device_row(member: Any) -> list[Any]:
    device = member.worker.device
    state, seen = state_cell(member.state), age(member.worker.seen_at, member.at)
    named = [device.name, device.host, device.model, size(device.memory_bytes)]
    return [*named, state, job_link(member.job_id), seen, member.remark]


def _lane(name: str, stays: "list[Stay]", since: "datetime", until: "datetime") -> dict[str, Any]:
    busy = f"{busy_share(stays, since, until):.0%}"
    said = f"{name}: {len(stays)} attempts in the last 24 hours, busy {busy} of the time"
    return {"name": name, "busy": busy, "said": said, "bars": lane(stays, since, until)}


def _stay_row(stay: "Stay", at: "datetime") -> list[Any]:
    outcome = stay.outcome.value if stay.outcome else "running"
    took = duration(((stay.finished_at or at) - stay.started_at).total_seconds())
    name = Cell(stay.job_name, f"/jobs/{stay.job_id}")
    device, kind, task = f"{stay.host}:{stay.device}", stay.kind, str(stay.task)
    return [stamp(stay.started_at), device, job_link(stay.job_id), name, kind, task, state_cell(outcome), took]


routes = [Route("/devices", devices)]
