"""Jobs as rows of a table: those of a pipeline's run below the run, step by step; all others as they are."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from cli.output import Column
from client.moments import ago
from client.situation import Situation
from client.wording import duration
from pixmill.steptree import BRANCH, LAST

if TYPE_CHECKING:
    from db.listing import JobLine
    from db.tables.pipelines import PipelineRun

_NAME = "NAME"


def job_tree(
    lines: "Sequence[JobLine]",
    situation: Situation,
    columns: Sequence[Column],
    row: "Callable[[JobLine, Situation], list[str]]",
) -> list[list[str]]:
    """The rows of jobs; a run stands where its first job does."""
    titles = [column.title for column in columns]
    return list(_rows(lines, situation, titles, row))


def _rows(
    lines: "Sequence[JobLine]",
    situation: Situation,
    titles: Sequence[str],
    row: "Callable[[JobLine, Situation], list[str]]",
) -> Iterator[list[str]]:
    of_run: dict[int, list[JobLine]] = {}
    for line in lines:
        if line.place is not None:
            of_run.setdefault(line.place.run.id, []).append(line)
    for line in lines:
        if line.place is None:
            yield row(line, situation)
        elif members := of_run.pop(line.place.run.id, None):
            yield _head(line.place.run, situation.at, titles)
            yield from _below(members, situation, titles.index(_NAME), row)


def _head(run: "PipelineRun", at: datetime, titles: Sequence[str]) -> list[str]:
    cells = {
        "ID": f"run {run.id}",
        _NAME: run.name,
        "KIND": "pipeline",
        "STATE": run.state.value,
        "AGE": ago(run.begun_at, at),
        "TIME": duration(((run.finished_at or at) - run.begun_at).total_seconds()),
        "USER": run.user_name,
        "REASON": run.message or "",
    }
    return [cells.get(title, "–") for title in titles]


def _below(
    members: "list[JobLine]", situation: Situation, name: int, row: "Callable[[JobLine, Situation], list[str]]"
) -> Iterator[list[str]]:
    members.sort(key=lambda line: line.place.number if line.place else 0)
    for line in members:
        assert line.place is not None
        cells = row(line, situation)
        called = "" if cells[name] == line.place.step else f": {cells[name]}"
        cells[name] = f"{LAST if line is members[-1] else BRANCH}{line.place.step}{called}"
        yield cells
