"""A line of models in two or three sentences, and its figures."""

from collections.abc import Sequence

from client.modelreport.line import ModelLine
from client.modelreport.tables import size_on_disk
from pixmill.aliases import CHAMPION
from reports.modelline import MadeRow
from reports.numbers import number_text, size_text, utc_text
from reports.summary import KeyFigure


def told(line: ModelLine) -> str:
    """Who is champion and since when, and what the last verdict was."""
    said = [_champion(line), _newest(line), _verdict(line)]
    return " ".join(f"{text.rstrip('.')}." for text in said if text)


def _champion(line: ModelLine) -> str:
    name, number = line.model.name, line.champion
    if number is None:
        return f"{name} has no champion" + ("" if line.versions else ", and no version")
    event = next(one for one in line.events if one.alias == CHAMPION)
    why = f" ({event.reason})" if event.reason else ""
    before = "" if event.from_version is None else f"; {name}@{event.from_version} was before it"
    return f"{name}@{number} is champion since {utc_text(event.at)}, by {event.actor}{why}{before}"


def _newest(line: ModelLine) -> str:
    if not line.versions or line.versions[0].version == line.champion:
        return ""
    newest = line.versions[0]
    return f"The newest version is {newest.reference}, of {utc_text(newest.created_at)}"


def _verdict(line: ModelLine) -> str:
    if not line.verdicts:
        return ""
    result = line.verdicts[-1].result
    against = f" against {result['against']}" if result["against"] else ""
    return f"The last verdict is {result['verdict']}, on {result['model']}{against}"


def figures(line: ModelLine, made: Sequence[MadeRow]) -> list[KeyFigure]:
    """The numbers of the first screen."""
    champion = "none" if line.champion is None else f"@{line.champion}"
    gone = sum(version.removed_at is not None for version in line.versions)
    kept = sum(size_on_disk(line, version) or 0 for version in line.versions if version.removed_at is None)
    changes = max(0, sum(event.alias == CHAMPION for event in line.events) - 1)
    sets = [row for row in made if row.images]
    size_bytes = sum(row.size_bytes for row in sets)
    return [
        KeyFigure(label="champion", value=champion, note=_counted(changes, "change")),
        KeyFigure(label="versions", value=number_text(len(line.versions)), note=f"{gone} removed" if gone else ""),
        KeyFigure(label="files of its versions", value=size_text(kept), note="on this host"),
        KeyFigure(
            label="images made",
            value=number_text(sum(row.images for row in sets)),
            note=f"{size_text(size_bytes)} in {_counted(len(sets), 'data set')}" if sets else "",
        ),
    ]


def _counted(count: int, noun: str) -> str:
    return f"{number_text(count)} {noun}{'' if count == 1 else 's'}"
