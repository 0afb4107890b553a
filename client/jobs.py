"""Jobs as they stand: one as a value that can be kept, as JSON, and the numbers that tell how far it is."""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from client.reasons.jobs import reason_of
from client.reasons.reason import lasting_code
from client.selection import Selection
from client.situation import Situation, read_situation
from client.wording import duration, percent
from client.workspace import Workspace
from pixmill.arrays import index_text
from pixmill.stages import Stage, bound_by
from pixmill.states import State

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.listing import JobFilter, JobLine
    from db.tables.jobs import Job as JobRow

_SHOWN_PIECES = 4  # of a list of indices
PAGE = 500  # jobs read at a time; a database takes only so many values in one statement


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a job stands in a run of a pipeline."""

    run: int  # id
    name: str  # of the pipeline
    step: str


@dataclass(frozen=True, kw_only=True)
class Element:
    """Where a job stands in an array."""

    id: int  # of the array: that of its first job
    index: int
    size: int  # jobs
    max_running: int | None  # so many at once; None: no limit


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job as it stood at one moment; times are in UTC."""

    id: int
    name: str
    kind: str  # "train", "generate" …
    model: str | None  # that it works with, or trains
    state: State
    reason: str | None  # a word: why it waits, or did not succeed, such as "Resources" or "OOM"
    message: str | None  # the words behind it
    queue: str
    priority: int
    user: str
    key: str | None  # idempotency key
    labels: Mapping[str, str]
    done: int  # images
    total: int  # images; 0 for a job that makes or sees none
    rate: float | None  # images a second, of all its tasks together
    eta_seconds: float | None  # until its images are there
    bound_by: Stage | None  # what its tasks wait for longest, of a job that makes a data set
    spent_seconds: Mapping[str, float]  # of its tasks by stage
    tasks: int
    tasks_done: int
    devices: tuple[str, ...]  # where it runs
    waits_for: tuple[int, ...]  # unfinished jobs
    pipeline: Place | None
    array: Element | None
    submitted_at: datetime
    begin_at: datetime | None  # not earlier than
    started_at: datetime | None
    finished_at: datetime | None
    run_seconds: float | None  # from its first start until its end, or until now
    spec_digest: str
    spec: Mapping[str, Any]
    options: Mapping[str, Any]

    @property
    def is_over(self) -> bool:
        """Whether it has succeeded, failed or was cancelled."""
        return self.state.is_terminal

    @classmethod
    def of(cls, line: "JobLine", situation: Situation) -> "Job":
        """The job as the database has it."""
        row, reason, place = line.job, reason_of(line, situation), line.place
        same = ("id", "name", "kind", "state", "queue", "priority", "key", "labels", "spec_digest", "spec", "options")
        times = ("submitted_at", "begin_at", "started_at", "finished_at")
        return cls(
            **{name: getattr(row, name) for name in (*same, *times)},
            model=model_of(row.spec),
            reason=reason.code if reason else None,
            message=reason.text or None if reason else None,
            user=row.user_name,
            done=done_images(line),
            total=row.progress_total,
            rate=line.rate,
            eta_seconds=eta_seconds(line),
            bound_by=bound_by(line.spent),
            spent_seconds=line.spent,
            tasks=line.tasks,
            tasks_done=line.tasks_done,
            devices=line.devices,
            waits_for=line.waits_for,
            pipeline=Place(run=place.run.id, name=place.run.name, step=place.step) if place else None,
            array=element_of(row, situation),
            run_seconds=run_seconds(line, situation.at),
        )

    def to_json(self) -> dict[str, Any]:
        """The job as JSON: raw words, seconds, images, times."""
        values = asdict(self)
        progress = {"done": values.pop("done"), "total": values.pop("total"), "unit": "images"}
        tasks = {"total": values.pop("tasks"), "done": values.pop("tasks_done")}
        return {**values, "state": self.state.value, "progress": progress, "tasks": tasks}


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a job is; equal to another one when nothing has changed that is worth telling."""

    job_id: int
    state: State
    done: int  # images
    total: int
    rate: float | None  # images a second
    eta_seconds: float | None = field(compare=False)
    phase: str | None  # of its running task, such as "training"
    losses: Mapping[str, float]  # of a training
    bound_by: Stage | None
    reason: str | None  # why it waits, or did not succeed

    @property
    def share(self) -> float:
        """What is done of all, from 0 to 1."""
        return self.done / self.total if self.total else float(self.state is State.SUCCEEDED)

    @classmethod
    def of(cls, line: "JobLine", situation: Situation) -> "Progress":
        """How far the job is, as the database has it."""
        reason, phase = reason_of(line, situation), line.progress.get("phase")
        losses = line.progress.get("losses") or {}
        return cls(
            job_id=line.job.id,
            state=line.job.state,
            done=done_images(line),
            total=line.job.progress_total,
            rate=line.rate,
            eta_seconds=eta_seconds(line),
            phase=str(phase) if phase else None,
            losses={name: value for name, value in losses.items() if isinstance(value, int | float)},
            bound_by=bound_by(line.spent),
            reason=lasting_code(reason) if reason else None,
        )


def jobs_by_id(workspace: Workspace, job_ids: Sequence[int]) -> list[Job]:
    """These jobs as they stand now, in the same order.  Raises NotFound or DatabaseUnreachable."""
    from db.listing import job_lines

    with workspace.database.read() as session:
        lines = job_lines(session, job_ids)
        situation = read_situation(session, workspace.settings.scheduler.lease_seconds, lines)
    return [Job.of(line, situation) for line in lines]


def chosen_jobs(
    workspace: Workspace, selection: Selection, *, limit: int | None = None, before: int | None = None
) -> list[Job]:
    """Jobs that were chosen, the oldest first; of more than `limit` the newest.  Raises DatabaseUnreachable."""
    with workspace.database.read() as session:
        lines, _more = read_jobs(session, selection.job_filter(before=before), limit, None)
        situation = read_situation(session, workspace.settings.scheduler.lease_seconds, lines)
    return [Job.of(line, situation) for line in lines]


def job_json(line: "JobLine", situation: Situation) -> dict[str, Any]:
    """The job as JSON."""
    return Job.of(line, situation).to_json()


def read_jobs(
    session: "Session", chosen: "JobFilter", limit: int | None, recent: int | None
) -> tuple[list["JobLine"], bool]:
    """At most `limit` jobs, the newest, by id; and whether there are older ones."""
    from dataclasses import replace

    from db.listing import list_jobs

    lines: list[JobLine] = []
    while limit is None or len(lines) <= limit:
        wanted = PAGE if limit is None else min(PAGE, limit + 1 - len(lines))
        page = list_jobs(session, chosen, wanted, recent)
        lines = page + lines
        if len(page) < wanted or recent is not None:
            break
        chosen = replace(chosen, before=page[0].job.id)
    more = limit is not None and len(lines) > limit
    return (lines[-limit:] if limit is not None else lines), more


def element_of(row: "JobRow", situation: Situation) -> Element | None:
    """Its place in an array, if it has one."""
    if row.array_id is None or row.array_index is None:
        return None
    load = situation.arrays[row.array_id]
    return Element(id=load.id, index=row.array_index, size=load.size, max_running=load.max_running)


def id_text(line: "JobLine") -> str:
    """Its id; of a line that stands for several jobs of an array, such as `12[4-15]`."""
    job = line.job
    return f"{job.array_id}[{index_text(line.alike, most=_SHOWN_PIECES)}]" if line.alike else str(job.id)


def name_text(line: "JobLine") -> str:
    """Its name, with its index if it is one of an array, and the line stands for it alone."""
    return line.job.name if line.alike else line.job.title


def model_of(spec: Mapping[str, Any]) -> str | None:
    """The model that a spec names; or else the job whose images it judges or decompresses; None for a ping."""
    if spec.get("output") is not None:
        return f"job:{spec['output']}"
    return " + ".join([str(spec["model"]), *(spec.get("further_models") or ())]) if "model" in spec else None


def done_images(line: "JobLine") -> int:
    """Images handled so far."""
    total = line.job.progress_total
    return total if line.job.state is State.SUCCEEDED else min(line.done, total)


def progress_text(line: "JobLine") -> str:
    """Progress in percent, or – for a job that never ran."""
    if line.job.started_at is None or not line.job.progress_total:
        return "–"
    return percent(done_images(line), line.job.progress_total)


def eta_seconds(line: "JobLine") -> float | None:
    """Until its images are there, if it goes on as it does now; None: nobody knows, or it is not running."""
    left = line.job.progress_total - done_images(line)
    return round(left / line.rate, 1) if line.rate and left > 0 and line.job.state is State.RUNNING else None


def run_seconds(line: "JobLine", at: datetime) -> float | None:
    """From its first start until its end, or until now."""
    job = line.job
    if job.started_at is None:
        return None
    return max(0.0, ((job.finished_at or at) - job.started_at).total_seconds())


def rate_text(line: "JobLine") -> str:
    """Images a second, or – where nobody knows."""
    return "–" if line.rate is None else f"{line.rate:,.{0 if line.rate >= 10 else 1}f}/s"


def eta_text(line: "JobLine") -> str:
    """`eta_seconds` as a cell."""
    seconds = eta_seconds(line)
    return "–" if seconds is None else duration(seconds)


def device_text(devices: tuple[str, ...]) -> str:
    """Where it runs: the device's name alone if it is one of this host."""
    if len(devices) > 1:
        return f"{len(devices)} devices"
    return devices[0].removeprefix(f"{socket.gethostname()}:") if devices else "–"


def run_time(line: "JobLine", at: datetime) -> str:
    """`run_seconds` as a cell."""
    seconds = run_seconds(line, at)
    return "–" if seconds is None else duration(seconds)
