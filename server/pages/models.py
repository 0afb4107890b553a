"""`/models`: model lines with versions, aliases and what was measured of them, beside what their gates ask."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from client.modelfacts import model_facts
from client.moments import stamp
from client.values import value_text
from client.wording import age, count
from reports.charts import line_chart
from reports.data import Better, Series
from reports.levels import gate_levels, gate_words
from reports.numbers import number_text
from server.cells import Cell, columns, job_link, model_link, rows
from server.pages.common import facts
from server.queries import read_query
from server.site import site_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from client.models import Versions
    from db.glances import Measured

LINES = columns("Model|Champion|Newest#|Versions#|Preset|Data set|Images#|Metric|Value#|Job#|Age#")
VERSIONS = columns("Version#|Aliases|Preset|Images#|Metric|Value#|Data|Device|Job#|Age#")
HISTORY = columns("At|Who|What|Alias|From#|To#|Reason~")
MEASURED = columns("Version#|Job#|Kind|What was measured~")
SHOWN_METRICS = 6  # of one measurement
MOST_CHARTS = 4


async def models(request: Request) -> Response:
    """All model lines."""
    site = site_of(request)
    read_query(request, ())
    return await site.page(request, "models.html.j2", load)


async def model(request: Request) -> Response:
    """One line: versions, aliases and how they moved, metrics over versions."""
    site = site_of(request)
    read_query(request, ())
    name: str = request.path_params["name"]
    return await site.page(request, "model.html.j2", lambda session: load_one(session, name))


def load(session: "Session") -> dict[str, Any]:
    """Read all lines, each by its newest version."""
    from client.models import read_versions

    found = read_versions(session, None)
    lines: dict[str, list[Any]] = {}
    for version, aliases in found.found:
        lines.setdefault(version.model.name, []).append((version, aliases))
    return {
        "here": "/models",
        "live": 15,
        "columns": LINES,
        "rows": rows([_line_row(name, of_line, found.at) for name, of_line in lines.items()], LINES),
    }


def _line_row(name: str, of_line: list[Any], at: Any) -> list[Any]:
    newest = of_line[0][0]
    champion = next((f"@{version.version}" for version, aliases in of_line if "champion" in aliases), "–")
    metric, value = _quality(newest)
    head = [model_link(name), champion, f"@{newest.version}", str(len(of_line)), newest.preset, newest.dataset.name]
    return [*head, count(newest.images_seen), metric, value, job_link(newest.job_id), age(newest.created_at, at)]


def _quality(version: Any) -> tuple[str, str]:
    value = "–" if version.metric_value is None else number_text(version.metric_value)
    return version.metric_name or "–", value


def load_one(session: "Session", name: str) -> dict[str, Any]:
    """Read one line.  Raises NotFound."""
    from client.models import read_versions
    from db.aliases import frozen_text, model_events
    from db.glances import measured_of
    from db.registry import get_model

    row = get_model(session, name)
    versions = read_versions(session, name, removed=True)
    measured = measured_of(session, row.id)
    newest = versions.found[0][0] if versions.found else None
    return {
        "here": "/models",
        "live": 15,
        "name": name,
        "frozen": frozen_text(row) if row.frozen else None,
        "aliases": [(alias, version.version) for version, aliases in versions.found for alias in aliases],
        "facts": facts({key: value_text(value) for key, value in model_facts(newest).items()}) if newest else [],
        "newest": newest.reference if newest else None,
        "version_columns": VERSIONS,
        "versions": rows(
            [_version_row(version, aliases, versions.at) for version, aliases in versions.found], VERSIONS
        ),
        "charts": _charts(versions, measured),
        "history_columns": HISTORY,
        "history": rows([_event_row(event) for event in model_events(session, row.id)], HISTORY),
        "measured_columns": MEASURED,
        "measured": rows([_measured_row(one) for one in measured[::-1]], MEASURED),
    }


def _version_row(version: Any, aliases: Sequence[str], at: Any) -> list[Any]:
    told = "(removed)" if version.removed_at else ", ".join(aliases) or "–"
    device = str(version.lineage.get("device", "–"))
    metric, value = _quality(version)
    data = Cell(version.dataset.fingerprint[:12], kind="mono")
    head = [f"@{version.version}", told, version.preset, count(version.images_seen), metric, value, data, device]
    return [*head, job_link(version.job_id), age(version.created_at, at)]


def _event_row(event: Any) -> list[Any]:
    moved = [str(number) if number else "–" for number in (event.from_version, event.to_version)]
    return [stamp(event.at), event.actor, event.action, event.alias or "–", *moved, event.reason or ""]


def _measured_row(one: "Measured") -> list[Any]:
    words = [f"{metric['name'].partition('@')[0]} {number_text(metric['value'])}" for metric in one.metrics]
    more = f", and {len(words) - SHOWN_METRICS} more" if len(words) > SHOWN_METRICS else ""
    return [f"@{one.version}", job_link(one.job_id), one.kind, ", ".join(words[:SHOWN_METRICS]) + more]


def _charts(versions: "Versions", measured: Sequence["Measured"]) -> list[dict[str, Any]]:
    """The model's own metric over its versions, and what gates and evaluations have measured, with the gate's line."""
    own: dict[str, dict[int, float]] = {}
    for version, _aliases in reversed(versions.found):
        if version.metric_name is not None and version.metric_value is not None:
            own.setdefault(version.metric_name, {})[version.version] = version.metric_value
    limits = next((one.spec.get("gates") or {} for one in reversed(measured) if one.kind == "gate"), {})
    found: dict[str, tuple[dict[int, float], Better | None]] = {name: (values, None) for name, values in own.items()}
    for one in measured:
        for metric in one.metrics:
            better = metric["better"] if metric["better"] in {"lower", "higher"} else None
            found.setdefault(metric["name"], ({}, better))[0][one.version] = metric["value"]
    asked = sorted(found, key=lambda name: (name.partition("@")[0] not in limits, name not in own))
    return [metric_chart(place, name, *found[name], limits) for place, name in enumerate(asked[:MOST_CHARTS])]


def metric_chart(
    place: int, name: str, values: Mapping[int, float], better: Better | None, limits: Mapping[str, Any]
) -> dict[str, Any]:
    """One metric over versions, beside the lines that the gates of `limits` draw."""
    at = sorted(values)
    series = [Series(name=name, images_seen=at, values=[values[version] for version in at], better=better)]
    gate = limits.get(name.partition("@")[0])
    levels = gate_levels(gate)
    chart = line_chart(f"metric-{place}", series, title=name, levels=levels, along="version", whole=True)
    return {
        "title": name,
        "chart": chart,
        "note": gate_words(gate),
    }


routes = [Route("/models", models), Route("/models/{name}", model)]
