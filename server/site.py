"""The dashboard as a whole: what every page needs, and how one is answered."""

from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from client.gallery import Found, Gallery
from client.health import Health, look
from client.workspace import user_name
from pixmill.errors import PixmillError
from server.access import Access
from server.errors import status_of
from server.lookout import Lookout
from server.options import Options
from server.reading import Kept, Reader, ReadingWorkspace
from server.secrets import Secrets
from server.templating import fill
from server.writing import Writer

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

T = TypeVar("T")
Context = Mapping[str, Any]
Load = Callable[["Session"], Context]

KEEP_SECONDS = 2.0  # a page that many look at is made once in that time
KEPT_PAGES = 128
FOUND_SECONDS = 2.0  # a page of images asks for the same data set a hundred times
HEALTH_SECONDS = 5.0
MAX_MESSAGE = 2000  # characters of an error that a page shows


class Site:
    """What is asked, how it is shown, and for whom."""

    def __init__(self, workspace: ReadingWorkspace, options: Options) -> None:
        self.settings = workspace.settings
        self.workspace = workspace
        self.options = options
        self.access = Access(options)
        self.secrets = Secrets.of(workspace.settings, options.token)
        self.reader = Reader(workspace)
        self._writer = Writer(workspace.settings)
        self.gallery = Gallery(workspace)
        self.actor = f"{user_name()} (dashboard)"[:200]
        self._pages: Kept[bytes] = Kept(KEEP_SECONDS, KEPT_PAGES)
        self._found: Kept[Found] = Kept(FOUND_SECONDS, KEPT_PAGES)
        self.health: Lookout[Health] = Lookout(lambda: look(workspace), HEALTH_SECONDS)  # what `pixmill status` finds

    async def page(
        self, request: Request, template: str, load: Load, more: Callable[[Context], Context] | None = None
    ) -> Response:
        """Answer with a page made of what `load` reads, and of what `more` finds in files for it.

        Raises what they raise, TooSlow and Busy.
        """
        key = page_key(request.scope)
        return _html(await self._pages.get(key, lambda: self._made(request, template, load, more)))

    def fresh_page(self, scope: Scope) -> bytes | None:
        """The page that was made for the same address a moment ago, by whomever it was asked for."""
        return self._pages.fresh(page_key(scope))

    async def write(self, act: "Callable[[Session], T]") -> T:
        """Run an act; pages show what came of it from then on.  Raises as `Writer.write`."""
        try:
            return await self._writer.write(act)
        finally:
            self._pages.forget()

    async def found(self, job_id: int) -> Found:
        """The data set of a job.  Raises NotFound, Conflict, TooSlow and Busy."""
        return await self._found.get(
            job_id, lambda: self.reader.ask(lambda session: self.gallery.find(session, job_id))
        )

    async def _made(
        self, request: Request, template: str, load: Load, more: Callable[[Context], Context] | None
    ) -> bytes:
        common = self._common(request)
        if more is None:
            return await self.reader.ask(lambda session: self._filled(template, common, load(session)))
        found = await self.reader.ask(load)
        return await self.reader.fetch(lambda: self._filled(template, common, found, more(found)))

    def shown(self, request: Request, template: str, status: int, context: Context) -> Response:
        """A page that needs no database."""
        return _html(self._filled(template, self._common(request), context), status)

    def refused(self, request: Request | None, error: Exception) -> Response:
        """The page, or to a program the line, that tells of an error; never where in the program it arose."""
        status = status_of(error)
        known = isinstance(error, PixmillError)
        message = error.message if isinstance(error, PixmillError) else "something went wrong here; it is in the log"
        hint = error.hint if isinstance(error, PixmillError) and known else None
        context = {"status": status, "message": message[:MAX_MESSAGE], "hint": hint and hint[:MAX_MESSAGE]}
        common = self._common(request) if request is not None else {}
        return _html(self._filled("error.html.j2", common, {**context, "here": "", "live": 0}), status)

    def close(self) -> None:
        """Close all connections, and remove what was fetched."""
        self._writer.close()
        self.workspace.close()

    def _common(self, request: Request) -> Context:
        return {
            "address": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
            "with_logout": self.access.is_needed,
            "may_act": self.options.allow_writes,
            "csrf": self.access.csrf,
        }

    def _filled(self, template: str, *contexts: Context) -> bytes:
        merged: dict[str, Any] = {}
        for context in contexts:
            merged |= context
        return fill(template, merged, self.secrets)


def page_key(scope: Scope) -> Hashable:
    """What tells pages apart."""
    return scope["raw_path"], scope["query_string"]


def site_of(request: Request) -> Site:
    """The dashboard that was asked."""
    site: Site = request.app.state.site
    return site


def _html(page: bytes, status: int = 200) -> Response:
    return Response(page, status, media_type="text/html")
