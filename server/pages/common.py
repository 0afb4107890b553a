"""What pages of several subjects show in the same way."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from client.jobs import (
    device_text,
    done_images,
    eta_text,
    id_text,
    model_of,
    name_text,
    progress_text,
    rate_text,
    run_time,
)
from client.reasons.jobs import reason_of
from client.reasons.reason import reason_text
from client.wording import age
from pixmill.stages import bound_by
from server.cells import Cell, columns, job_link, state_cell

if TYPE_CHECKING:
    from client.situation import Situation
    from db.listing import JobLine
    from db.tables.jobs import Event

JOB_COLUMNS = columns("ID#|Name|Kind|Model|State|Progress#|Device|Age#|Time#|Rate#|ETA#|Bound by|Reason~")
EVENT_COLUMNS = columns("Ago|Job#|What|Who|State|Detail~")


def job_row(line: "JobLine", situation: "Situation") -> list[Any]:
    """The cells of JOB_COLUMNS."""
    job = line.job
    href = f"/jobs?array={job.array_id}&state={job.state.value}" if line.alike else f"/jobs/{job.id}"
    return [
        Cell(id_text(line), href, "number"),
        Cell(name_text(line), href),
        job.kind,
        model_of(job.spec) or "–",
        state_cell(job.state.value),
        progress_text(line),
        device_text(line.devices),
        age(job.submitted_at, situation.at),
        run_time(line, situation.at),
        rate_text(line),
        eta_text(line),
        bound_by(line.spent) or "–",
        reason_text(reason_of(line, situation)),
    ]


def progress(line: "JobLine") -> dict[str, Any] | None:
    """How far a job is, for a bar; None where nobody knows."""
    total = line.job.progress_total
    if not total or line.job.started_at is None:
        return None
    return {"done": done_images(line), "total": total, "text": progress_text(line)}


def event_row(event: "Event", at: datetime) -> list[Any]:
    """The cells of EVENT_COLUMNS."""
    state = state_cell(event.to_state) if event.to_state else "–"
    return [age(event.at, at), job_link(event.job_id), event.action, event.actor, state, event.detail or ""]


def facts(values: Mapping[str, Any]) -> list[tuple[str, Cell]]:
    """Names and values, a line each; empty ones are left out."""
    return [
        (name, value if isinstance(value, Cell) else Cell(str(value))) for name, value in values.items() if value != ""
    ]


def parted(first: Sequence[Any], last: Sequence[Any], left_out: int, width: int) -> list[Any]:
    """Rows of which those in the middle are not there."""
    gap = [[*["…"] * (width - 1), f"… {left_out:,} more …"]] if left_out else []
    return [*first, *gap, *last]
