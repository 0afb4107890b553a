"""What every report of a job has: who tried it, what happened to it, how far it is, and what it wrote last."""

from client.jobreport.source import JobSource
from client.jobs import done_images, eta_seconds
from client.logs import log_sources, tail_lines
from db.tables.fleet import Worker
from db.tables.jobs import Attempt, Task
from db.views import job_events
from pixmill.states import State
from reports.history import AttemptLine, EventLine, LogTail, ProgressLine
from reports.numbers import size_text

SHOWN_LOG_LINES = 30


def attempt_lines(source: JobSource) -> list[AttemptLine]:
    """Who tried, where, and how it ended."""
    names_task = len(source.tasks) != 1
    return [_attempt_line(number, *rows, names_task=names_task) for number, rows in enumerate(source.attempts, start=1)]


def event_lines(source: JobSource) -> list[EventLine]:
    """What happened, who did it and why."""
    numbers = {task.id: task.number for task in source.tasks}
    return [
        EventLine(
            at=event.at,
            what=event.action if event.task_id is None else f"task {numbers.get(event.task_id)}: {event.action}",
            who=event.actor,
            why=event.detail or "",
        )
        for event in job_events(source.session, source.job.id)
    ]


def cancel_words(source: JobSource) -> str:
    """Why somebody cancelled it; empty of any other job, or if nobody said."""
    if source.job.state is not State.CANCELLED:
        return ""
    told = [event.detail for event in job_events(source.session, source.job.id) if event.action == "cancel"]
    return next((text for text in reversed(told) if text), "")


def progress_line(source: JobSource) -> ProgressLine | None:
    """How far it is; None unless it runs."""
    if source.job.state is not State.RUNNING:
        return None
    phase = source.line.progress.get("phase")
    return ProgressLine(
        done=done_images(source.line),
        total=source.job.progress_total,
        phase=str(phase) if phase else "",
        eta_seconds=eta_seconds(source.line),
    )


def log_tail(source: JobSource) -> LogTail | None:
    """The end of its last attempt's log; None of a job that has succeeded, or whose log is not on this host."""
    if source.job.state is State.SUCCEEDED:
        return None
    for log in reversed(log_sources(source.session, source.layout.root, source.job.id)):
        if lines := tail_lines(log, SHOWN_LOG_LINES):
            return LogTail(title=log.title.capitalize(), lines=lines)
    return None


def left_facts(source: JobSource) -> dict[str, object]:
    """What a job of a kind without a section has left: the page of a pipeline run."""
    found = source.result("report")
    if not found:
        return {}
    page = source.layout.resolve(found["page"])
    is_there = "" if page.is_file() else " (not on this host)"
    run = f"pixmill pipeline show {source.job.spec['run']}"
    return {"page": f"{page}{is_there}", "size": size_text(found["bytes"]), "pipeline run": run}


def _attempt_line(number: int, attempt: Attempt, task: Task, worker: Worker, *, names_task: bool) -> AttemptLine:
    return AttemptLine(
        number=number,
        task=task.number if names_task else None,
        state=attempt.outcome.value if attempt.outcome else "running",
        worker=worker.name,
        device=worker.name.partition(":")[2],
        reason=": ".join(part for part in (attempt.reason, attempt.message) if part),
        started_at=attempt.started_at,
        finished_at=attempt.finished_at,
    )
