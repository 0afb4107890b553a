"""The tables of a job's screen: tasks, attempts, events, sizes and losses; of many rows the first and the last."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from cli.output import Column, print_table, print_title
from client.jobrows import attempt_row, event_row, rate_row, task_row

if TYPE_CHECKING:
    from datetime import datetime

    from db.ends import AttemptRow, Ends, EventRow
    from db.tables.jobs import Task

Item = TypeVar("Item")

SHOWN_ROWS = 12  # of tasks, attempts and events; the JSON has them all

TASK_COLUMNS = [
    Column(title="TASK", align="right"),
    Column(title="ROLE"),
    Column(title="STATE"),
    Column(title="PROG", align="right"),
    Column(title="TIME", align="right"),
    Column(title="TRIES", align="right"),
    Column(title="FAILED", align="right", dropped=1),
    Column(title="LOST", align="right", dropped=2),
    Column(title="STOPPED", align="right", dropped=3),
    Column(title="REASON", shrinks=True, least=16),
]
ATTEMPT_COLUMNS = [
    Column(title="ATTEMPT", align="right"),
    Column(title="TASK", align="right"),
    Column(title="WORKER", shrinks=True),
    Column(title="OUTCOME"),
    Column(title="TIME", align="right"),
    Column(title="FOLDER"),
    Column(title="REASON", shrinks=True),
]
EVENT_COLUMNS = [
    Column(title="AT"),
    Column(title="WHO", shrinks=True),
    Column(title="WHAT"),
    Column(title="TASK", align="right", dropped=1),
    Column(title="STATE"),
    Column(title="DETAIL", shrinks=True),
]


RATE_COLUMNS = [
    Column(title="FILES", shrinks=True),
    Column(title="BITS/PIXEL", align="right"),
    Column(title="PSNR", align="right"),
    Column(title="SSIM", align="right"),
]


GATE_COLUMNS = [
    Column(title="GATE"),
    Column(title="RULE", dropped=1),
    Column(title="OUTCOME"),
    Column(title="NUMBERS", shrinks=True, least=32),
]


def print_rates(rates: Sequence[Mapping[str, Any]]) -> None:
    """What compressed files take and lose."""
    _print_rows("rates", RATE_COLUMNS, [rate_row(rate) for rate in rates])


def print_gates(rows: Sequence[Mapping[str, Any]]) -> None:
    """What each gate says, a line each."""
    _print_rows("gates", GATE_COLUMNS, [[row["gate"], row["rule"], row["outcome"], row["text"]] for row in rows])


def print_metrics(columns: Sequence[Column], rows: Sequence[list[str]], most: int | None) -> None:
    """What was measured; of more rows than `most` the first and the last."""
    _print_rows("metrics", columns, *_parted(rows, most))


def print_tasks(tasks: "Ends[Task]", at: "datetime") -> None:
    """The tasks as they stand at this moment."""
    _print_ends("tasks", TASK_COLUMNS, tasks, lambda _number, task: task_row(task, at))


def print_attempts(attempts: "Ends[AttemptRow]", at: "datetime") -> None:
    """Who has tried, or tries at this moment."""
    _print_ends("attempts", ATTEMPT_COLUMNS, attempts, lambda number, row: attempt_row(number, row, at))


def print_events(events: "Ends[EventRow]") -> None:
    """What has happened."""
    _print_ends("events", EVENT_COLUMNS, events, lambda _number, row: event_row(row))


def _parted(rows: Sequence[list[str]], most: int | None) -> tuple[Sequence[list[str]], Sequence[list[str]], int]:
    """The first and the last rows, and how many are left out; all, if those are no more than `most` and one."""
    from db.ends import at_each_end

    half = at_each_end(len(rows), most)
    if half is None:
        return rows, (), 0
    return rows[:half], rows[-half:], len(rows) - 2 * half


def _print_ends(
    title: str, columns: Sequence[Column], ends: "Ends[Item]", row: Callable[[int, Item], list[str]]
) -> None:
    """A table of rows that are made of their number, from 1 on, and what was read."""
    first = [row(number, item) for number, item in enumerate(ends.first, start=1)]
    last = [row(number, item) for number, item in enumerate(ends.last, start=ends.count - len(ends.last) + 1)]
    _print_rows(title, columns, first, last, ends.left_out)


def _print_rows(
    title: str,
    columns: Sequence[Column],
    first: Sequence[list[str]],
    last: Sequence[list[str]] = (),
    left_out: int = 0,
) -> None:
    if not first:
        return
    gap = [f"… {left_out} more …" if column.shrinks and column is columns[-1] else "…" for column in columns]
    print_title(title, gap=True)
    print_table(columns, [*first, *([gap] if left_out else []), *last], empty="")
