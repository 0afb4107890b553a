"""What every request passes before a page is made, and every answer carries."""

import logging
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors import Busy, RequestError, WhoAreYou, WrongMethod
from server.site import Site

log = logging.getLogger("server")

READING = ("GET", "HEAD")
MOST_AT_ONCE = 200  # requests
MOST_TARGET_BYTES = 2000  # of path and query
OPEN_PATHS = ("/login", "/healthz", "/static/")  # for whoever has not logged in: no data are there
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
# A report brings its pictures and its style with it, and nothing else; it has the same words in its head.
REPORT_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
Raw = list[tuple[bytes, bytes]]
HEADERS: Mapping[str, str] = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}


class Guard:
    """The outermost layer: host, size, method, number at once, who asks; and the headers of every answer."""

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self._app, self.site = app, site
        self._headers = _headers_of(site)
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._running += 1
        try:
            await self._answer(scope, receive, _with_headers(send, self._headers))
        except Exception:
            log.exception("%s %r", scope["method"], scope["path"])
        finally:
            self._running -= 1

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        try:
            self._check(scope, headers)
        except WhoAreYou as error:
            await self._ask_in(scope, headers, error)(scope, receive, send)
        except RequestError as error:
            await self.site.refused(None, error)(scope, receive, send)
        else:
            page = self.site.fresh_page(scope) if scope["method"] in READING else None
            await (self._app if page is None else _Page(page))(scope, receive, send)

    def _check(self, scope: Scope, headers: Headers) -> None:
        if self._running > MOST_AT_ONCE:
            raise Busy
        if len(scope["raw_path"]) + len(scope["query_string"]) > MOST_TARGET_BYTES:
            raise RequestError(f"the address is longer than {MOST_TARGET_BYTES:,} bytes", hint="begin at /")
        hosts = headers.getlist("host")
        if len(hosts) != 1 or _name(hosts[0]) not in self.site.options.allowed_hosts:
            raise RequestError("this dashboard does not go by that name", hint="pixmill server --allowed-host NAME")
        self._check_method(scope["method"], scope["path"])
        if not scope["path"].startswith(OPEN_PATHS) and not self.site.access.may_look(headers):
            raise WhoAreYou("nobody has logged in", hint="send the header: Authorization: Bearer TOKEN")

    def _check_method(self, method: str, path: str) -> None:
        if method in READING:
            return
        if method != "POST" or not (self.site.options.allow_writes or path in {"/login", "/logout"}):
            raise WrongMethod(f"{method} is not for this dashboard", hint="it acts with: pixmill server --allow-writes")

    def _ask_in(self, scope: Scope, headers: Headers, error: WhoAreYou) -> Response:
        if "text/html" in headers.get("accept", "") and scope["method"] == "GET" and "hx-request" not in headers:
            target = scope["path"] + (f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else "")
            return RedirectResponse(f"/login?next={quote(target, safe='')}", 303)
        response = self.site.refused(None, error)
        response.headers["www-authenticate"] = "Bearer"
        return response


class _Page:
    """A page that is there already: most requests are answered by one, so nothing is done twice for it."""

    def __init__(self, page: bytes) -> None:
        self._page = page

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it."""
        length = str(len(self._page)).encode()
        headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else self._page})


@lru_cache(maxsize=64)
def _name(host: str) -> str:
    """The name in a Host header, without its port.

    >>> _name("localhost:8765"), _name("[::1]:80"), _name("a@b")
    ('localhost', '[::1]', '')
    """
    try:
        parts = urlsplit(f"//{host}")
        name, _port = parts.hostname, parts.port
    except ValueError:
        return ""
    if not name or parts.username is not None or parts.path or parts.query or parts.fragment:
        return ""
    return f"[{name}]" if ":" in name else name


def _headers_of(site: Site) -> Raw:
    """What every answer carries; where there are forms, their pages are named to this very dashboard, and to no other.

    Of a page whose policy is no-referrer a browser sends a form with `Origin: null`.
    """
    has_forms = site.access.is_needed or site.options.allow_writes
    chosen = {**HEADERS, **({"referrer-policy": "same-origin"} if has_forms else {})}
    return [(name.encode(), value.encode()) for name, value in chosen.items()]


def _with_headers(send: Send, headers: Raw) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = {name for name, _value in message["headers"]}
            message["headers"] = [*message["headers"], *(pair for pair in headers if pair[0] not in given)]
        await send(message)

    return sending
