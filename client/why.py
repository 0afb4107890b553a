"""`pixmill job why`: where a job stands, all that keeps it from going on, and what can be done."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from client.fleet import device_label
from client.jobs import done_images, progress_text, run_seconds
from client.reasons.jobs import stopping_reason
from client.reasons.order import waiting_reasons
from client.reasons.reason import Reason
from client.situation import Situation, read_closely
from client.wording import age, count, duration, percent, plural, span
from pixmill.states import FailureReason, State

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.listing import JobLine
    from db.tables.fleet import Device
    from db.tables.jobs import Task

SHOWN_TASKS = 12  # that run; the others are counted
_ORDER = (State.RUNNING, State.QUEUED, State.PENDING, State.HELD, State.SUCCEEDED, State.FAILED, State.CANCELLED)

# What helps depends on what went wrong; {id} is the job.
_REMEDIES: dict[str, tuple[str, ...]] = {
    FailureReason.USER_ERROR: ("pixmill job show {id} --spec > job.yaml", "pixmill submit -f job.yaml"),
    FailureReason.DATASET_MISSING: ("pixmill job show {id}", "pixmill job retry {id}"),
    FailureReason.DATASET_CHANGED: ("pixmill dataset verify --all", "pixmill job show {id} --spec > job.yaml"),
    FailureReason.DISK_FULL: ("pixmill gc plan", "pixmill job retry {id}"),
    FailureReason.OUT_OF_MEMORY: ("pixmill job show {id} --spec | pixmill submit train -f - --batch-size 16",),
    FailureReason.NON_FINITE_LOSS: ("pixmill job retry {id} --from best", "pixmill job report {id}"),
    FailureReason.CORRUPT_FILE: ("pixmill logs {id}", "pixmill job retry {id}"),
    FailureReason.CORRUPT_ROW: ("pixmill job show {id}", "pixmill job retry {id}"),
    FailureReason.TIME_LIMIT: ("pixmill job retry {id} --time-limit 4h",),
    FailureReason.NO_PROGRESS: ("pixmill logs {id} --tail 50", "pixmill job retry {id}"),
    FailureReason.WORKER_LOST: ("pixmill logs {id} --tail 50", "pixmill job retry {id}"),
    FailureReason.DEPENDENCY: ("pixmill job retry {parent}", "pixmill job retry {id}"),
    FailureReason.ERROR: ("pixmill logs {id} --tail 50", "pixmill job retry {id}"),
}
_AFTER_SUCCESS: dict[str, tuple[str, ...]] = {
    "train": ("pixmill submit generate --model job:{id} -n 10k",),
    "generate": ("pixmill output verify {id}", "pixmill submit evaluate --output {id}"),
    "animate": ("pixmill output verify {id}", "pixmill job report {id}"),
    "edit": ("pixmill job report {id}", "pixmill output verify {id}"),
    "evaluate": ("pixmill job report {id}",),
    "gate": ("pixmill job show {id}", "pixmill job report {id}"),
    "compress": ("pixmill job report {id}", "pixmill submit decompress --output {id}"),
    "decompress": ("pixmill output export {id} --to FOLDER",),
    "restore": ("pixmill output export {id} --to FOLDER", "pixmill job report {id}"),
}


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Where a job stands, and why."""

    id: int  # of the job
    name: str
    state: State
    headline: str
    details: Sequence[str]
    tasks: dict[str, int]  # how many are in which state
    reasons: Sequence[Reason]  # the first is what would have to change first
    remedies: Sequence[str]  # commands

    def to_json(self) -> dict[str, Any]:
        """The explanation as JSON."""
        return {
            "id": self.id,
            "name": self.name,
            "state": self.state.value,
            "summary": self.headline,
            "details": list(self.details),
            "tasks": self.tasks,
            "reasons": [reason.to_json() for reason in self.reasons],
            "remedies": list(self.remedies),
        }


def explain(session: "Session", lease_seconds: float, job_id: int) -> Explanation:
    """Look at one job.  Raises NotFound."""
    from db.listing import job_line
    from db.views import job_tasks

    line = job_line(session, job_id)
    situation = read_closely(session, lease_seconds, line)
    tasks = job_tasks(session, job_id)
    states = Counter(task.state for task in tasks)
    counts = {state.value: states[state] for state in _ORDER if states[state]}
    if line.job.state.is_terminal:
        return _ended(line, situation, tasks, counts)
    if line.job.state is State.RUNNING:
        return _running(session, line, situation, tasks, counts)
    return _waiting(line, situation, counts)


def _waiting(line: "JobLine", situation: Situation, counts: dict[str, int]) -> Explanation:
    job = line.job
    reasons = list(waiting_reasons(line, situation))
    details = [] if line.tasks == 1 else [_counted(counts)]
    if not reasons:
        on_its_way = job.state is State.QUEUED
        details.append(
            "a worker has been told of it" if on_its_way else "nothing: the scheduler starts it at its next look"
        )
    headline = f"job {job.id} ({job.title}) is {job.state}, submitted {age(job.submitted_at, situation.at)} ago"
    return _explanation(line, headline, details, counts, reasons)


def _running(
    session: "Session", line: "JobLine", situation: Situation, tasks: Sequence["Task"], counts: dict[str, int]
) -> Explanation:
    from db.reasons import devices_of

    job = line.job
    running = [task for task in tasks if task.state is State.RUNNING]
    devices = devices_of(session, job.id)
    details = [_task_line(task, devices.get(task.id), situation) for task in running[:SHOWN_TASKS]]
    if line.tasks > 1:
        details.append(_counted(counts))
    reasons = _orders(line, situation) + list(waiting_reasons(line, situation))
    progress = f": {progress_text(line)} of {count(job.progress_total)} images" if job.progress_total else ""
    seconds = run_seconds(line, situation.at) or 0.0
    headline = f"job {job.id} ({job.title}) has been running for {duration(seconds)}{progress}"
    return _explanation(line, headline, details, counts, reasons)


def _orders(line: "JobLine", situation: Situation) -> list[Reason]:
    """What somebody has asked of its running tasks."""
    unfinished = situation.unfinished.get(line.job.id)
    if line.job.cancel_requested:
        return [Reason(code="Cancelling", text="its workers stop it with their next heartbeat")]
    if unfinished is not None and unfinished.stop_to is not None:
        return [stopping_reason(unfinished.stop_to)]
    return []


def _task_line(task: "Task", device: "Device | None", situation: Situation) -> str:
    where = f" on {device_label(device)}" if device is not None else ""
    seconds = (situation.at - task.started_at).total_seconds() if task.started_at else 0.0
    # A limit that was set since it began holds for its next attempt.
    has_limit = task.time_limit_seconds is not None and task.time_limit_seconds >= seconds
    limit = f" of at most {duration(task.time_limit_seconds or 0.0)}" if has_limit else ""
    words = [f"task {task.number} ({task.role.value}){where} for {duration(seconds)}{limit}"]
    done, total = task.progress.get("done"), task.progress.get("total")
    if isinstance(done, int | float) and isinstance(total, int | float) and total:
        words.append(percent(int(done), int(total)))
    if task.progress.get("phase"):
        words.append(str(task.progress["phase"]))
    rate = task.progress.get("rate")
    if isinstance(rate, int | float):
        words.append(f"{rate:,.0f} images a second")
    return ", ".join(words)


def _ended(line: "JobLine", situation: Situation, tasks: Sequence["Task"], counts: dict[str, int]) -> Explanation:
    job = line.job
    seconds = run_seconds(line, situation.at)
    took = "" if seconds is None else f", after {duration(seconds)}"
    verb = "was cancelled" if job.state is State.CANCELLED else job.state.value
    headline = f"job {job.id} ({job.title}) {verb} {age(job.finished_at, situation.at)} ago{took}"
    details = [_counted(counts)] if line.tasks > 1 else []
    match job.state:
        case State.SUCCEEDED:
            details += [f"{count(done_images(line))} images"] if job.progress_total else []
            remedies = _filled(_AFTER_SUCCESS.get(job.kind, ()), line, situation)
            return _explanation(line, headline, details, counts, [], remedies)
        case State.CANCELLED:
            reason = _cancellation(situation)
            remedies = [f"pixmill job retry {job.id}"]
        case _:
            reason = Reason(code=job.reason or FailureReason.ERROR, text=job.message or "")
            details += _tries(tasks)
            remedies = _filled(_remedies_for(job.kind, reason.code), line, situation)
    return _explanation(line, headline, details, counts, [reason] if reason else [], remedies)


def _cancellation(situation: Situation) -> Reason | None:
    event = situation.cancelled_by
    if event is None:
        return None
    why = f": {event.detail}" if event.detail else ""
    text = f"by {event.actor} {span((situation.at - event.at).total_seconds())} ago{why}"
    facts = {"by": event.actor, "at": event.at, "why": event.detail}
    return Reason(code="Cancelled", text=text, facts=facts)


def _tries(tasks: Sequence["Task"]) -> list[str]:
    """How often the task that failed was tried."""
    failed = next((task for task in tasks if task.state is State.FAILED and task.failures), None)
    if failed is None or failed.failures < 2:
        return []
    return [f"task {failed.number} ({failed.role.value}) failed {failed.failures} times"]


def _remedies_for(kind: str, code: str) -> Sequence[str]:
    if code == FailureReason.OUT_OF_MEMORY and kind != "train":  # only a training has a batch that can be made smaller
        return ("pixmill device ls", "pixmill job retry {id}")
    return _REMEDIES.get(code, _REMEDIES[FailureReason.ERROR])


def _filled(templates: Sequence[str], line: "JobLine", situation: Situation) -> list[str]:
    parent = next(iter(situation.parents), line.job.id)
    return [template.format(id=line.job.id, parent=parent) for template in templates]


def _counted(counts: dict[str, int]) -> str:
    by_state = ", ".join(f"{number:,} {state}" for state, number in counts.items())
    return f"{plural(sum(counts.values()), 'task')}: {by_state}"


def _explanation(
    line: "JobLine",
    headline: str,
    details: Sequence[str],
    counts: dict[str, int],
    reasons: Sequence[Reason],
    remedies: Sequence[str] | None = None,
) -> Explanation:
    if remedies is None:
        remedies = list(dict.fromkeys(reason.remedy for reason in reasons if reason.remedy))
    job = line.job
    return Explanation(
        id=job.id,
        name=job.name,
        state=job.state,
        headline=headline,
        details=details,
        tasks=counts,
        reasons=reasons,
        remedies=remedies,
    )
