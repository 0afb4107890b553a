"""`/reports/ID`: the report of a job as `pixmill job report` writes it, by the number of the job."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.guard import REPORT_POLICY
from server.queries import read_query
from server.reading import Remembered
from server.site import Site, site_of

KEEP_SECONDS, KEPT_REPORTS = 30.0, 4  # of at most 10 MB each
_kept: Remembered[bytes] = Remembered(KEEP_SECONDS, KEPT_REPORTS)


async def report(request: Request) -> Response:
    """The page, which brings its pictures with it and keeps its own strict policy."""
    site = site_of(request)
    read_query(request, ())
    job_id: int = request.path_params["job_id"]
    page = await site.reader.fetch(lambda: _kept.get((id(site), job_id), lambda: _made(site, job_id)))
    return Response(page, media_type="text/html", headers={"content-security-policy": REPORT_POLICY})


def _made(site: Site, job_id: int) -> bytes:
    from client.jobreport.building import build_report
    from reports.html import render

    built = site.reader.read(lambda session: build_report(session, site.settings, job_id))
    return site.secrets.masked(render(built)).encode()


routes = [Route("/reports/{job_id:int}", report)]
