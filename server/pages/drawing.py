"""Pictures that are drawn here, so that they are there without a script: curves, and who ran where when."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from client.moments import stamp
from reports.charts import line_chart
from reports.data import Series
from reports.numbers import count_text, number_text

if TYPE_CHECKING:
    from client.jobreport.curves import Curves
    from db.glances import Stay

TABLE_ROWS = 12  # of the table below a curve
KIND_STYLES: Mapping[str, int] = {
    "train": 0, "generate": 1, "animate": 1, "edit": 1, "restore": 1, "evaluate": 2, "gate": 2, "compress": 4,
    "decompress": 4,
}  # fmt: skip
STYLE_NAMES = ((0, "train"), (1, "generate, animate, edit, restore"), (2, "evaluate, gate"), (4, "compress and others"))
_BAR = Markup(
    '<rect class="{classes}" x="{x:.3f}%" y="3" width="{width:.3f}%" height="20" rx="2"><title>{title}</title></rect>'
)


def curve_panels(curves: "Curves") -> list[dict[str, Any]]:
    """Quality and losses, each as a picture and as a table of some points."""
    found = []
    if curves.quality is not None:
        better = f"{curves.quality.better.capitalize()} is better" if curves.quality.better else ""
        found.append(_panel("quality", curves.quality.name, [curves.quality], better))
    if curves.losses:
        note = "A lower loss does not always mean better images: judge by quality and samples"
        found.append(_panel("losses", "Losses", curves.losses, note))
    return found


def _panel(name: str, title: str, series: Sequence[Series], note: str) -> dict[str, Any]:
    return {
        "name": name,
        "title": title,
        "note": note,
        "chart": line_chart(f"curve-{name}", series, title=title),
        "heads": ["images seen", *(line.name for line in series)],
        "points": _points(series),
    }


def _points(series: Sequence[Series]) -> list[list[str]]:
    """Some points of all curves, spread over the training, the last one among them."""
    known = [dict(zip(line.images_seen, line.values, strict=True)) for line in series]
    places = sorted({place for line in known for place in line})
    step = max(1, -(-len(places) // TABLE_ROWS))
    chosen = places[::-1][::step][::-1]
    return [
        [count_text(place), *(number_text(line[place]) if place in line else "–" for line in known)] for place in chosen
    ]


def lane(stays: Sequence["Stay"], since: datetime, until: datetime) -> Markup:
    """What one device did in a span of time: a bar for each attempt."""
    return Markup("").join(_bar(stay, since, until) for stay in stays)


def _bar(stay: "Stay", since: datetime, until: datetime) -> Markup:
    whole = (until - since).total_seconds()
    begin, end = max(stay.started_at, since), min(stay.finished_at or until, until)
    start, seconds = (begin - since).total_seconds(), (end - begin).total_seconds()
    outcome = stay.outcome.value if stay.outcome else "running"
    classes = f"stay kind-{KIND_STYLES.get(stay.kind, 4)} outcome-{outcome}"
    span = f"{stamp(stay.started_at)} to {stamp(stay.finished_at) if stay.finished_at else 'now'}"
    title = f"job {stay.job_id} ({stay.job_name}), {stay.kind}, task {stay.task}: {outcome}, {span}"
    return _BAR.format(classes=classes, x=100 * start / whole, width=max(0.15, 100 * seconds / whole), title=title)


def hours(since: datetime, until: datetime, step: int = 4) -> list[tuple[str, float]]:
    """Full hours of a span of time, by the clocks of this host, with their places in percent."""
    since = since.astimezone()
    first = since.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    first += timedelta(hours=-first.hour % step)
    whole = (until - since).total_seconds()
    found = []
    while first <= until:
        found.append((f"{first:%H:%M}", 100 * (first - since).total_seconds() / whole))
        first += timedelta(hours=step)
    return found


def busy_share(stays: Sequence["Stay"], since: datetime, until: datetime) -> float:
    """The share of the time in which the device did something, from 0 to 1."""
    spans = sorted((max(stay.started_at, since), min(stay.finished_at or until, until)) for stay in stays)
    busy, reached = timedelta(0), since
    for begin, end in spans:
        busy += max(timedelta(0), end - max(begin, reached))
        reached = max(reached, end)
    return busy / (until - since)
