"""`/healthz` for whoever looks after processes, and `/static` for browsers."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pixmill.errors import NotFound
from server.assets import assets
from server.queries import read_query
from server.site import site_of


async def healthz(request: Request) -> Response:
    """`ok` when the database answers; 503 when it does not."""
    read_query(request, ())
    from db.workers import database_time

    await site_of(request).reader.ask(database_time)
    return PlainTextResponse("ok\n")


async def static(request: Request) -> Response:
    """A style or a script; with its mark in the address it may be kept for ever."""
    asset = assets().get(request.path_params["name"])
    if asset is None:
        raise NotFound("there is no such file")
    is_marked = request.query_params.get("v") == asset.tag
    keep = "public, max-age=31536000, immutable" if is_marked else "no-cache"
    headers = {"cache-control": keep, "etag": f'"{asset.tag}"'}
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    return Response(asset.content, media_type=asset.media_type, headers=headers)


routes = [Route("/healthz", healthz), Route("/static/{name:path}", static)]
