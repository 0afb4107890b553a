"""One job as a table row."""

from typing import TYPE_CHECKING

from cli.listing import Listing
from cli.output import Column
from client.jobs import device_text, eta_text, id_text, model_of, name_text, progress_text, rate_text, run_time
from client.moments import ago, stamp
from client.reasons.jobs import reason_of
from client.reasons.reason import reason_text
from client.situation import Situation
from pixmill.stages import bound_by

if TYPE_CHECKING:
    from db.listing import JobLine

COLUMNS = [
    Column(title="ID", align="right"),
    Column(title="NAME", shrinks=True, least=12),
    Column(title="KIND", dropped=4),
    Column(title="MODEL", shrinks=True, least=8, dropped=5),
    Column(title="STATE"),
    Column(title="PROG", align="right", dropped=1),
    Column(title="DEVICE", shrinks=True, least=6, dropped=3),
    Column(title="AGE", align="right", dropped=7),
    Column(title="TIME", align="right", dropped=2),
    Column(title="RATE", align="right", dropped=8),
    Column(title="ETA", align="right", dropped=6),
    Column(title="BOUND", dropped=9),
    Column(title="QUEUE", shrinks=True, wide=True),
    Column(title="PRIO", align="right", wide=True),
    Column(title="USER", shrinks=True, wide=True),
    Column(title="TASKS", align="right", wide=True),
    Column(title="SUBMITTED", wide=True),
    Column(title="KEY", shrinks=True, wide=True),
    Column(title="LABELS", shrinks=True, wide=True),
    Column(title="REASON", shrinks=True, least=16),
]
LISTING = Listing(schema="job_list", columns=COLUMNS)


def job_row(line: "JobLine", situation: Situation) -> list[str]:
    """The cells of COLUMNS."""
    job = line.job
    labels = ",".join(f"{key}={value}" for key, value in sorted(job.labels.items()))
    return [
        id_text(line),
        name_text(line),
        job.kind,
        model_of(job.spec) or "–",
        job.state.value,
        progress_text(line),
        device_text(line.devices),
        ago(job.submitted_at, situation.at),
        run_time(line, situation.at),
        rate_text(line),
        eta_text(line),
        bound_by(line.spent) or "–",
        job.queue,
        str(job.priority),
        job.user_name,
        f"{line.tasks_done}/{line.tasks}",
        stamp(job.submitted_at),
        job.key or "–",
        labels or "–",
        reason_text(reason_of(line, situation)),
    ]
