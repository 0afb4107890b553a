"""The tables of a job's screen: tasks, attempts, events, sizes and losses; of many rows the first and the last."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from cli.formatting import stamp
from cli.output import Column, print_table, print_title
from client.wording import duration, percent
from pixmill.states import State

if TYPE_CHECKING:
    from datetime import datetime

    from db.ends import AttemptRow, Ends, EventRow
    from db.tables import Task

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
    _print_rows("rates", RATE_COLUMNS, [_rate_row(rate) for rate in rates])


def print_gates(rows: Sequence[Mapping[str, Any]]) -> None:
    """What each gate says, a line each."""
    _print_rows("gates", GATE_COLUMNS, [[row["gate"], row["rule"], row["outcome"], row["text"]] for row in rows])


def print_metrics(columns: Sequence[Column], rows: Sequence[list[str]], most: int | None) -> None:
    """What was measured; of more rows than `most` the first and the last."""
    _print_rows("metrics", columns, *_parted(rows, most))


def print_tasks(tasks: "Ends[Task]", at: "datetime") -> None:
    """The tasks as they stand at this moment."""
    _print_ends("tasks", TASK_COLUMNS, tasks, lambda _number, task: _task_row(task, at))


def print_attempts(attempts: "Ends[AttemptRow]", at: "datetime") -> None:
    """Who has tried, or tries at this moment."""
    _print_ends("attempts", ATTEMPT_COLUMNS, attempts, lambda number, row: _attempt_row(number, row, at))


def print_events(events: "Ends[EventRow]") -> None:
    """What has happened."""
    _print_ends("events", EVENT_COLUMNS, events, lambda _number, row: _event_row(row))


def _rate_row(rate: Mapping[str, Any]) -> list[str]:
    ratio = "lossless" if rate["psnr"] is None else f"{rate['psnr']:.2f} dB"
    return [rate["name"], f"{rate['bits_per_pixel']:.3f}", ratio, f"{rate['ssim']:.4f}"]


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


def _task_row(task: "Task", at: "datetime") -> list[str]:
    return [
        str(task.number),
        task.role.value,
        task.state.value,
        _task_progress(task),
        _task_time(task, at),
        str(task.lease_epoch),
        str(task.failures),
        str(task.lost_leases),
        str(task.preemptions),
        _task_reason(task, at),
    ]


def _task_time(task: "Task", at: "datetime") -> str:
    """How long its last attempt took, or takes; of a task that waits again only the attempts tell it."""
    end = at if task.state is State.RUNNING else task.finished_at
    return duration((end - task.started_at).total_seconds()) if task.started_at and end else "–"


def _task_reason(task: "Task", at: "datetime") -> str:
    reason = f"{task.reason}: {task.message}" if task.reason and task.message else task.reason or task.message or ""
    if task.stop_to is not None:
        return f"stops at its next checkpoint, then {task.stop_to}"
    if task.state is State.PENDING and task.available_at is not None and task.available_at > at:
        again = f"again in {duration((task.available_at - at).total_seconds())}"
        return f"{again}, after {reason}" if reason else again
    if task.state is State.PENDING and task.preemptions:
        return reason or "was given back by its worker"
    return reason


def _task_progress(task: "Task") -> str:
    if task.state is State.SUCCEEDED:
        return "100%"
    done, total = task.progress.get("done"), task.progress.get("total")
    if not isinstance(done, int | float) or not isinstance(total, int | float) or not total:
        return "–"
    return percent(int(done), int(total))


def _attempt_row(number: int, row: "AttemptRow", at: "datetime") -> list[str]:
    attempt, task, worker = row
    return [
        str(number),
        str(task.number),
        worker.name,
        attempt.outcome.value if attempt.outcome else "running",
        duration(((attempt.finished_at or at) - attempt.started_at).total_seconds()),
        attempt.folder,
        ": ".join(part for part in (attempt.reason, attempt.message) if part),
    ]


def _event_row(row: "EventRow") -> list[str]:
    event, task = row
    return [
        stamp(event.at),
        event.actor,
        event.action,
        "–" if task is None else str(task),
        event.to_state or "–",
        event.detail or "",
    ]
