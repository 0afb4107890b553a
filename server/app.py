"""The pages put together: routes behind the guard, and errors as pages."""

import logging

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from pixmill.errors import NotFound, PixmillError
from server.errors import WrongMethod, status_of
from server.guard import Guard
from server.options import Options
from server.pages import acts, devices, health, job, jobs, login, models, outputs, overview, plans, reports
from server.reading import ReadingWorkspace
from server.site import Site, site_of

log = logging.getLogger("server")

READING = (overview, jobs, job, devices, models, outputs, plans, reports, health, login)


def build_app(workspace: ReadingWorkspace, options: Options) -> Guard:
    """The dashboard of a workspace, to be closed in the end.  Raises ConfigError for settings that cannot be read."""
    site = Site(workspace, options)
    pages = (*READING, acts) if options.allow_writes else READING
    app = Starlette(
        routes=[route for page in pages for route in page.routes],
        exception_handlers={HTTPException: _unknown, PixmillError: _known, Exception: _unforeseen},
    )
    app.router.redirect_slashes = False
    app.state.site = site
    return Guard(app, site)


async def _known(request: Request, error: Exception) -> Response:
    if status_of(error).value >= 500:
        log.warning("%s: %s", request.url.path, error)
    return site_of(request).refused(request, error)


async def _unknown(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return site_of(request).refused(request, WrongMethod(f"{request.method} is not for this page", hint="/"))
    return site_of(request).refused(request, NotFound("there is no such page", hint="/"))


async def _unforeseen(request: Request, error: Exception) -> Response:
    # Starlette raises it once more, behind the answer: the guard writes it into the log.
    return site_of(request).refused(request, error)
