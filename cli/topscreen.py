"""The screen of `pixmill top`: tables below each other, each with as many rows as there is room for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from cli.devices import device_rows
from cli.formatting import cut, meter, printable
from cli.output import Column, Row, table_lines
from cli.queues import COLUMNS as QUEUE_COLUMNS
from cli.queues import queue_row
from client.fleet import tally
from client.glance import Glance
from client.jobs import (
    device_text,
    done_images,
    eta_text,
    id_text,
    name_text,
    progress_text,
    rate_text,
    run_time,
)
from client.moments import ago
from client.reasons.jobs import reason_of
from client.reasons.reason import reason_text
from client.wording import plural
from pixmill.stages import bound_by

if TYPE_CHECKING:
    from db.listing import JobLine
    from db.tables.jobs import Event

DEVICE_COLUMNS = [
    Column(title="DEVICE"),
    Column(title="HOST", shrinks=True, least=6, dropped=4),
    Column(title="STATE"),
    Column(title="JOB", align="right"),
    Column(title="BUSY", align="right"),
    Column(title="MEMORY USED", align="right", dropped=1),
    Column(title="MODEL", shrinks=True, least=8, dropped=3),
    Column(title="REASON", shrinks=True, least=12, dropped=2),
]
RUNNING_COLUMNS = [
    Column(title="RUNS", align="right"),
    Column(title="NAME", shrinks=True, least=12),
    Column(title="KIND", dropped=4),
    Column(title="PROGRESS", align="right"),
    Column(title="RATE", align="right", dropped=2),
    Column(title="ETA", align="right"),
    Column(title="BOUND", dropped=1),
    Column(title="DEVICE", shrinks=True, least=6, dropped=3),
    Column(title="TIME", align="right", dropped=5),
    Column(title="REASON", shrinks=True, least=12, dropped=6),
]
WAITING_COLUMNS = [
    Column(title="WAITS", align="right"),
    Column(title="NAME", shrinks=True, least=12),
    Column(title="KIND", dropped=2),
    Column(title="QUEUE", shrinks=True, dropped=1),
    Column(title="STATE", dropped=3),
    Column(title="AGE", align="right", dropped=4),
    Column(title="REASON", shrinks=True, least=16),
]
EVENT_COLUMNS = [
    Column(title="AGE", align="right"),
    Column(title="JOB", align="right"),
    Column(title="WHAT"),
    Column(title="STATE", dropped=1),
    Column(title="WHO", shrinks=True, dropped=2),
    Column(title="DETAIL", shrinks=True, least=16),
]


@dataclass(frozen=True, kw_only=True)
class Space:
    """How large the terminal is; None: there is none, and everything is shown."""

    columns: int | None = None
    rows: int | None = None
    colored: bool = False


@dataclass(frozen=True, kw_only=True)
class _Section:
    """One table."""

    columns: Sequence[Column]
    rows: Sequence[Row]
    total: int | None  # of all that there are, read or not; None: what is left out is not counted
    counts: Sequence[int] | None = None  # things that each row stands for; None: each for one
    shown: int = 0  # lines below the head, that of what is left out among them

    @property
    def wants(self) -> int:
        """Lines below the head that show all."""
        return len(self.rows) + (self._left_out(len(self.rows)) > 0)

    def lines(self, space: Space) -> list[str]:
        """The table, after an empty line; what does not fit is counted."""
        is_counted = self._left_out(self.shown) > 0
        rows = self.rows[: self.shown - is_counted]
        found = table_lines(self.columns, rows, width=space.columns, colored=space.colored)
        left_out = [f"… and {self._left_out(len(rows)):,} more"] if is_counted else []
        return ["", *found, *left_out]

    def _left_out(self, shown: int) -> int:
        """How many things there are beside those of the first rows."""
        if self.total is None:
            return 0
        counts = [1] * len(self.rows) if self.counts is None else self.counts
        return self.total - sum(counts[:shown])


def screen_lines(seen: Glance, space: Space) -> list[str]:
    """Everything that there is room for; the last tables go first where it is little."""
    head = [_summary(seen), *seen.troubles]
    head = [printable(line) if space.columns is None else cut(printable(line), space.columns) for line in head]
    if space.colored:
        head[0] = click.style(head[0], bold=True)
    sections = [section for section in _sections(seen) if section.rows]
    room = None if space.rows is None else space.rows - len(head)
    return [*head, *(line for section in _fitted(sections, room) for line in section.lines(space))]


def _summary(seen: Glance) -> str:
    waiting, held = seen.count("pending", "queued"), seen.count("held")
    jobs = f"{plural(seen.count('running'), 'job')} running, {waiting:,} waiting"
    return f"{jobs}{f', {held:,} held' if held else ''}; {tally(seen.fleet)}"


def _sections(seen: Glance) -> list[_Section]:
    """By how much they matter."""
    queues = [queue_row(queue) for queue in seen.queues]
    devices = device_rows(seen.fleet, DEVICE_COLUMNS)
    running = [_running_row(line, seen) for line in seen.running]
    waiting = [_waiting_row(line, seen) for line in seen.waiting]
    waits, counts = seen.count("pending", "queued", "held"), [len(line.alike) or 1 for line in seen.waiting]
    events = [_event_row(event, seen) for event in seen.events]
    return [
        _Section(columns=QUEUE_COLUMNS, rows=queues, total=len(queues)),
        _Section(columns=DEVICE_COLUMNS, rows=devices, total=len(devices)),
        _Section(columns=RUNNING_COLUMNS, rows=running, total=seen.count("running")),
        _Section(columns=WAITING_COLUMNS, rows=waiting, total=waits, counts=counts),
        _Section(columns=EVENT_COLUMNS, rows=events, total=None),
    ]


def _fitted(sections: Sequence[_Section], room: int | None) -> list[_Section]:
    """Each with its share of the lines: they take turns, until each has what it wants or none is left."""
    if room is None:
        return [replace(section, shown=section.wants) for section in sections]
    kept = list(sections)
    while kept and _least_lines(kept) > room:
        kept.pop()
    shown = [min(2, section.wants) for section in kept]
    left = room - _least_lines(kept)
    while left and any(taken < section.wants for taken, section in zip(shown, kept, strict=True)):
        for place, section in enumerate(kept):
            if left and shown[place] < section.wants:
                shown[place] += 1
                left -= 1
    return [replace(section, shown=taken) for section, taken in zip(kept, shown, strict=True)]


def _least_lines(sections: Sequence[_Section]) -> int:
    """An empty line, a head, and a row with what is left out below, each."""
    return sum(2 + min(2, section.wants) for section in sections)


def _running_row(line: "JobLine", seen: Glance) -> list[str]:
    job, total = line.job, line.job.progress_total
    bar = f"{meter(done_images(line) / total)} {progress_text(line):>4}" if total else "–"
    return [
        str(job.id),
        job.title,
        job.kind,
        bar,
        rate_text(line),
        eta_text(line),
        bound_by(line.spent) or "–",
        device_text(line.devices),
        run_time(line, seen.at),
        reason_text(reason_of(line, seen.situation)),
    ]


def _waiting_row(line: "JobLine", seen: Glance) -> list[str]:
    job = line.job
    reason = reason_text(reason_of(line, seen.situation))
    head = [id_text(line), name_text(line), job.kind]
    return [*head, job.queue, job.state.value, ago(job.submitted_at, seen.at), reason]


def _event_row(event: "Event", seen: Glance) -> list[str]:
    job = "–" if event.job_id is None else str(event.job_id)
    state = event.to_state or "–"
    return [ago(event.at, seen.at), job, event.action, state, event.actor, event.detail or ""]
