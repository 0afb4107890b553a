"""What a dashboard that was started with --allow-writes can do: each act is an event with who and why."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pixmill.errors import BrokerUnreachable
from pixmill.names import suggestion
from server.errors import RequestError
from server.forms import read_form
from server.site import Site, site_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

MOST_REASON = 500  # characters

Act = Callable[["Session", Any, str, str | None], object]  # on what, by whom, and why


async def act_on_job(request: Request) -> Response:
    """Do something to a job, and show it."""
    job_id: int = request.path_params["job_id"]
    return await _act(request, job_acts(), job_id, f"/jobs/{job_id}")


async def act_on_queue(request: Request) -> Response:
    """Pause or resume a queue, and show its jobs."""
    name: str = request.path_params["name"]
    return await _act(request, queue_acts(), name, f"/jobs?queue={quote(name, safe='')}")


def job_acts() -> Mapping[str, Act]:
    """What can be done to a job."""
    from db import control

    return {
        "cancel": lambda session, job, actor, why: control.cancel_job(session, job, actor=actor, why=why),
        "hold": lambda session, job, actor, why: control.hold_job(session, job, actor=actor, why=why),
        "release": lambda session, job, actor, why: control.release_job(session, job, actor=actor, why=why),
        "retry": lambda session, job, actor, why: control.retry_job(session, job, actor=actor, why=why),
        "requeue": lambda session, job, actor, why: control.requeue_job(session, job, actor=actor, why=why),
    }


def queue_acts() -> Mapping[str, Act]:
    """What can be done to a queue."""
    from db import queues

    return {
        "pause": lambda session, name, actor, why: queues.pause_queue(session, name, actor=actor, why=why),
        "resume": lambda session, name, actor, why: queues.resume_queue(session, name, actor=actor, why=why),
    }


async def _act(request: Request, known: Mapping[str, Act], subject: Any, target: str) -> Response:
    """Do it in one transaction.  Raises NotAllowed, RequestError, and what the act raises."""
    site = site_of(request)
    fields = await read_form(request)
    site.access.require_act(request.headers, fields)
    name, why = fields.get("act", ""), fields.get("reason", "").strip() or None
    if name not in known:
        raise RequestError(f"there is no act {name[:50]!r}", hint=suggestion(name[:50], known))
    if why is not None and (len(why) > MOST_REASON or not why.isprintable()):
        raise RequestError(f"the reason is no line of at most {MOST_REASON} letters", hint="shorten it")
    await site.write(lambda session: known[name](session, subject, site.actor, why))
    await site.reader.fetch(lambda: _poke(site))
    return RedirectResponse(target, 303)


def _poke(site: Site) -> None:
    """Without Redis the scheduler sees the change by itself, a little later."""
    from scheduler.broker import poke

    try:
        poke(site.settings)
    except BrokerUnreachable:
        return


routes = [
    Route("/jobs/{job_id:int}/acts", act_on_job, methods=["POST"]),
    Route("/queues/{name}/acts", act_on_queue, methods=["POST"]),
]
