"""Styles and scripts, which come from this machine alone: read once, and named by what is in them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

KINDS: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# The dashboard looks like the reports: their sheet comes first, and what is ours goes on from there.
_SHEETS = (
    ("reports", "templates/style.css"),
    ("server", "static/vendor/uPlot.min.css"),
    ("server", "static/style.css"),
)
_FILES = ("dashboard.js", "icon.svg", "vendor/htmx.min.js", "vendor/uPlot.iife.min.js")


@dataclass(frozen=True)
class Asset:
    """One file as it is sent."""

    content: bytes
    media_type: str

    @property
    def tag(self) -> str:
        """Changes with the content."""
        return hashlib.sha256(self.content).hexdigest()[:16]


@cache
def assets() -> Mapping[str, Asset]:
    """All files by their names."""
    sheet = b"\n".join(files(room).joinpath(path).read_bytes() for room, path in _SHEETS)
    found = {name: files("server").joinpath("static", name).read_bytes() for name in _FILES}
    return {name: Asset(content, _kind(name)) for name, content in {"style.css": sheet, **found}.items()}


@cache
def asset_url(name: str) -> str:
    """The address of a file, another one after each change."""
    return f"/static/{name}?v={assets()[name].tag}"


def _kind(name: str) -> str:
    return KINDS[name[name.rindex(".") :]]
