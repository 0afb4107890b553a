"""`/login`: the token once, and a cookie from then on."""

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from server.access import COOKIE, SESSION_SECONDS
from server.errors import NotAllowed
from server.forms import read_form
from server.queries import MOST_CHARACTERS
from server.site import site_of


async def form(request: Request) -> Response:
    """The form that asks for the token."""
    site = site_of(request)
    if not site.access.is_needed:
        return RedirectResponse("/", 303)
    target = own_address(request.query_params.get("next", "/"))
    return site.shown(request, "login.html.j2", 200, {"next": target, "with_logout": False})


async def log_in(request: Request) -> Response:
    """Give a session to whoever knows the token.  Raises NotAllowed."""
    site = site_of(request)
    site.access.require_origin(request.headers)
    fields = await read_form(request)
    if not site.access.knows_token(fields.get("token", "")[: 10 * MOST_CHARACTERS]):
        raise NotAllowed("this is not the token", hint="it stands in the file that --token-file names")
    response = RedirectResponse(own_address(fields.get("next", "/")), 303)
    secure = request.headers["origin"].startswith("https:")
    session = site.access.new_session()
    response.set_cookie(COOKIE, session, SESSION_SECONDS, httponly=True, samesite="strict", secure=secure)
    return response


async def log_out(request: Request) -> Response:
    """Take the cookie back."""
    site_of(request).access.require_origin(request.headers)
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


def own_address(text: str) -> str:
    r"""The address if it is one of this dashboard; otherwise the first page.

    >>> own_address("/jobs?state=failed"), own_address("//elsewhere.example"), own_address("/\\elsewhere")
    ('/jobs?state=failed', '/', '/')
    """
    try:
        parts = urlsplit(text)
    except ValueError:
        return "/"
    is_own = text.startswith("/") and not text.startswith("//") and "\\" not in text and text.isprintable()
    return text if is_own and not parts.scheme and not parts.netloc and len(text) <= 2000 else "/"


routes = [
    Route("/login", form, methods=["GET"]),
    Route("/login", log_in, methods=["POST"]),
    Route("/logout", log_out, methods=["POST"]),
]
