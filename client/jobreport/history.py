"""What every report of a job has: who tried it, what happened to it, and pictures that belong to no section."""

from client.jobreport.source import JobSource
from db.tables import Attempt, Task, Worker
from db.views import job_events
from reports.data import AttemptLine, CaptionedImage, EventLine
from storage.animations import animation_stem

SHOWN_ANIMATIONS = 6


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


def further_pictures(source: JobSource) -> list[CaptionedImage]:
    """Pictures that belong to no section."""
    judged, decompressed = source.result("evaluate"), source.result("decompress")
    files = {
        "Generated images, and below each the training image nearest to it.": judged.get("neighbours"),
        "The first of the decompressed images.": decompressed.get("contact_sheet"),
    }
    found = {caption: source.existing(file) for caption, file in files.items()}
    shown = [CaptionedImage(caption=caption, image=path) for caption, path in found.items() if path is not None]
    return shown + _animations(source)


def _animations(source: JobSource) -> list[CaptionedImage]:
    count = source.result("assemble").get("animations") or 0
    folder = source.layout.output_folder(source.job.id)
    if not folder.is_dir():  # in a bucket
        return []
    files = {number: folder / f"{animation_stem(number)}.webp" for number in range(min(count, SHOWN_ANIMATIONS))}
    return [CaptionedImage(caption=f"Animation {number}.", image=path) for number, path in files.items()]


def _attempt_line(number: int, attempt: Attempt, task: Task, worker: Worker, *, names_task: bool) -> AttemptLine:
    task_name = f"task {task.number}" if names_task else ""
    return AttemptLine(
        number=number,
        state=attempt.outcome.value if attempt.outcome else "running",
        worker=worker.name,
        device=worker.name.partition(":")[2],
        reason=": ".join(part for part in (task_name, attempt.reason, attempt.message) if part),
        started_at=attempt.started_at,
        finished_at=attempt.finished_at,
    )
