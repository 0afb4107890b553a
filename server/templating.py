"""Pages are filled here: every text escaped, nothing secret in it, nothing in it that is no part of HTML."""

from collections.abc import Mapping
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from client.wording import age, count, duration, plural, size
from pixmill import __version__
from reports.numbers import number_text
from reports.pages import printable_html
from server.assets import asset_url
from server.secrets import Secrets

NAVIGATION = (
    ("/", "Overview"),
    ("/jobs", "Jobs"),
    ("/devices", "Devices"),
    ("/models", "Models"),
    ("/outputs", "Outputs"),
    ("/pipelines", "Pipelines"),
    ("/schedules", "Schedules"),
)


def fill(template: str, context: Mapping[str, object], secrets: Secrets) -> bytes:
    """Fill a template of this room."""
    page = _environment().get_template(template).render({**_DEFAULTS, **context})
    return secrets.masked(printable_html(page)).encode()


def compile_templates() -> None:
    """Compile all of them."""
    environment = _environment()
    for name in environment.list_templates():
        environment.get_template(name)


_DEFAULTS: Mapping[str, object] = {
    "version": __version__,
    "navigation": NAVIGATION,
    "here": "",  # the section of the page
    "address": None,  # of the page itself, for what is asked for again and again
    "live": 0,  # seconds between two looks; 0: the page stays as it is
    "with_logout": False,
    "may_act": False,
    "csrf": "",
}


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("server"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(age=age, count=count, duration=duration, plural=plural, size=size, number=number_text)
    environment.globals["asset"] = asset_url
    return environment
