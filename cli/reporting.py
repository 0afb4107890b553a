"""From rows and files to the report of one job."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.modelfacts import model_facts
from cli.reasons import reason_of, reason_text
from cli.situation import read_situation
from pixmill.errors import PermissionDenied, PixmillError, StorageError
from pixmill.specs import DATASET_MAKERS, AnimateSpec, EditSpec, GenerateSpec, RestoreSpec, parse_spec
from storage.paths import Layout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.orm import Session

    from db.engine import Database
    from db.tables import Attempt, Task, Worker
    from db.views import JobLine
    from imagemodels.traits import Shown
    from pixmill.settings import Settings
    from reports.data import (
        AttemptLine,
        CompressSection,
        EvaluateSection,
        EventLine,
        FidelityTable,
        GenerateSection,
        JobReport,
        TrainSection,
    )

MANIFEST_ROWS = 8
SHOWN_ANIMATIONS = 6


def write_report(database: "Database", settings: "Settings", job_id: int, path: Path) -> Path:
    """Write the report of a job, in whatever state it is, to `path`; gives the path.

    Raises NotFound, DatabaseUnreachable, PermissionDenied or StorageError.
    """
    from reports.html import write

    with database.read() as session:
        report = build_report(session, settings, job_id)
    return written(lambda target: write(report, target), path)


def written(write: "Callable[[Path], Path]", path: Path) -> Path:
    """Let `write` write a page to `path`.  Raises PermissionDenied or StorageError."""
    from reports.errors import ReportError

    try:
        return write(path)
    except PermissionError as error:
        raise PermissionDenied(f"{path} cannot be written: {error.strerror}", hint="choose another --out") from error
    except (OSError, ReportError) as error:
        raise StorageError(f"report {path} cannot be written: {error}") from error


def build_report(session: "Session", settings: "Settings", job_id: int) -> "JobReport":
    """Everything that the report of a job shows.  Raises NotFound."""
    from db.views import job_line
    from reports.data import JobReport

    line = job_line(session, job_id)
    job = line.job
    reason = reason_of(line, read_situation(session, settings.scheduler.lease_seconds, [line]))
    source = _Source(session, settings, line)
    return JobReport(
        job_id=job.id,
        name=job.name,
        kind=job.kind,
        state=job.state.value,
        reason=reason_text(reason),
        created_at=job.submitted_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        spec=job.spec,
        attempts=source.attempt_lines(),
        events=source.event_lines(),
        train=source.train() if job.kind == "train" else None,
        generate=source.generate() if job.kind in DATASET_MAKERS else None,
        evaluate=source.evaluate() if job.kind == "evaluate" else None,
        compress=source.compress() if job.kind == "compress" else None,
        pictures=source.pictures(),
    )


class _Source:
    """The rows and folders of one job."""

    def __init__(self, session: "Session", settings: "Settings", line: "JobLine") -> None:
        from db.views import job_attempts, job_tasks

        self._session = session
        self._layout = Layout(settings.storage_root)
        self._line = line
        self._tasks = job_tasks(session, line.job.id)
        self._attempts = job_attempts(session, line.job.id)

    def attempt_lines(self) -> list["AttemptLine"]:
        """Who tried, where, and how it ended."""
        one_task = len(self._tasks) == 1
        return [
            _attempt_line(number, *rows, names_task=not one_task) for number, rows in enumerate(self._attempts, start=1)
        ]

    def event_lines(self) -> list["EventLine"]:
        """What happened, who did it and why."""
        from db.views import job_events
        from reports.data import EventLine

        numbers = {task.id: task.number for task in self._tasks}
        return [
            EventLine(
                at=event.at,
                what=event.action if event.task_id is None else f"task {numbers.get(event.task_id)}: {event.action}",
                who=event.actor,
                why=event.detail or "",
            )
            for event in job_events(self._session, self._line.job.id)
        ]

    def train(self) -> "TrainSection":
        """Curves and sample grids, put together from all attempts."""
        from cli.heldout import class_accuracies, read_confusion
        from cli.trainhistory import read_history
        from db.registry import version_of_job
        from reports.data import TrainSection

        version = version_of_job(self._session, self._line.job.id)
        history = read_history(self._folders(), version.metric_name if version else None)
        held_out = self._existing(self._result("train").get("held_out"))
        confusion = read_confusion(held_out) if held_out else None
        rate = self._line.progress.get("rate") or history.images_per_second
        return TrainSection(
            losses=history.losses,
            quality=history.quality,
            grids=history.grids,
            grids_show=_grids_show(str(self._line.job.spec["model"])),
            reals=history.reals,
            model=model_facts(version) if version else {},
            images_seen=version.images_seen if version else history.images_seen,
            images_per_second=rate,
            warnings=history.warnings,
            confusion=confusion,
            per_class_accuracy=class_accuracies(confusion) if confusion else {},
            **self._predictions(),
            restoration=self._restoration(),
        )

    def _predictions(self) -> dict[str, Any]:
        """The figures of each predicted frame, of a model that predicts frames."""
        from cli.stepsection import step_tables

        path = self._existing(self._result("train").get("sequences"))
        return step_tables(path) if path else {}

    def _restoration(self) -> "FidelityTable | None":
        """The figures of a model that restores images."""
        from cli.restorationsection import fidelity_table

        path = self._existing(self._result("train").get("restoration"))
        return fidelity_table(path) if path else None

    def generate(self) -> "GenerateSection":
        """Shards, classes and the first rows of the table."""
        from db.views import job_shards
        from reports.data import GenerateSection

        job = self._line.job
        shards = job_shards(self._session, job.id)
        assembled = self._result("assemble")
        images = sum(shard.image_count for shard in shards)
        planned = assembled.get("images") or job.progress_total or images
        rows, warnings = self._manifest_rows()
        return GenerateSection(
            images=images,
            images_planned=planned,
            shards=len(shards),
            shards_planned=-(-planned // _shard_size(job.spec)),
            size_bytes=sum(shard.size_bytes for shard in shards),
            images_per_second=self._generation_rate(),
            contact_sheet=self._existing(assembled.get("contact_sheet")),
            sheet_caption=_sheet_caption(job.spec),
            edit={name.replace("_", " "): value for name, value in (assembled.get("edit") or {}).items()},
            counts=assembled.get("class_counts") or {},
            manifest_rows=rows,
            model=self._generator_facts(),
            output=str(self._layout.output_folder(job.id)) if assembled else "",
            verify_hint=f"pixmill output verify {job.id}" if assembled else "",
            warnings=[*warnings, *(assembled.get("warnings") or [])],
            restoration=_measured(assembled, images),
            restores=job.kind == "restore",
        )

    def evaluate(self) -> "EvaluateSection | None":
        """What was measured; None until it is."""
        from cli.evaluationsection import evaluate_section

        path = self._existing(self._result("evaluate").get("report"))
        return evaluate_section(path) if path else None

    def compress(self) -> "CompressSection | None":
        """Rates, and what was lost; None until it is measured."""
        from reports.data import CompressSection, RateLine

        result = self._result("compress")
        if not result:
            return None
        return CompressSection(
            rates=[RateLine(**rate) for rate in result["rates"]],
            size_bytes=result["bytes"],
            dataset=result["dataset"],
            strips=self._existing(result["strips"]),
            strips_reference=result["strips_reference"],
            files_sha256=result["files_sha256"],
            model=self._generator_facts(),
            next_commands=[
                f"pixmill output export {self._line.job.id} --to FOLDER",
                f"pixmill submit decompress --output {self._line.job.id}",
            ],
            warnings=result["warnings"],
        )

    def pictures(self) -> list[Any]:
        """Pictures that belong to no section."""
        from reports.data import CaptionedImage

        captions = {
            "Generated images, and below each the training image nearest to it.": self._result("evaluate").get(
                "neighbours"
            ),
            "The first of the decompressed images.": self._result("decompress").get("contact_sheet"),
        }
        found = {caption: self._existing(path) for caption, path in captions.items()}
        shown = [CaptionedImage(caption=caption, image=path) for caption, path in found.items() if path is not None]
        return shown + self._animations()

    def _animations(self) -> list[Any]:
        from reports.data import CaptionedImage
        from storage.animations import animation_stem

        count = self._result("assemble").get("animations") or 0
        folder = self._layout.output_folder(self._line.job.id)
        files = {number: folder / f"{animation_stem(number)}.webp" for number in range(min(count, SHOWN_ANIMATIONS))}
        return [CaptionedImage(caption=f"Animation {number}.", image=path) for number, path in files.items()]

    def _folders(self) -> list[Path]:
        return [self._layout.resolve(attempt.folder) for attempt, _task, _worker in self._attempts]

    def _result(self, role: str) -> dict[str, Any]:
        return next((task.result for task in self._tasks if task.role.value == role and task.result), {})

    def _existing(self, relative: str | None) -> Path | None:
        """The file of a root-relative path, or None when it is not on this host."""
        if not relative:
            return None
        path = self._layout.resolve(relative)
        return path if path.is_file() else None

    def _generation_rate(self) -> float | None:
        results = [task.result for task in self._tasks if task.role.value == "generate" and task.result]
        seconds = sum(float(result.get("seconds") or 0) for result in results)
        return sum(int(result["images"]) for result in results) / seconds if seconds else None

    def _generator_facts(self) -> dict[str, object]:
        from db.registry import resolve_model
        from db.tables import ModelVersion

        try:
            found = resolve_model(self._session, str(self._line.job.spec["model"]))
        except PixmillError as error:
            return {"model": self._line.job.spec["model"], "note": error.message}
        return model_facts(found) if isinstance(found, ModelVersion) else {"model": f"job:{found.id}"}

    def _manifest_rows(self) -> tuple[list[dict[str, object]], list[str]]:
        from db.views import job_shards
        from storage.shards import read_rows

        shards = job_shards(self._session, self._line.job.id)
        if not shards:
            return [], []
        try:
            rows = read_rows(self._layout.resolve(shards[0].folder), shards[0].number)[:MANIFEST_ROWS]
        except StorageError as error:
            return [], [f"the first table cannot be read: {error.message}"]
        names = ("index", "key", "seed", "label", "width", "height", "size")
        shown = []
        for row in rows:
            done = asdict(row.edit) if row.edit is not None else {}
            shown.append(
                {**{name: getattr(row, name) for name in names}, **done, "sha256": row.sha256.hex()[:16] + "…"}
            )
        return shown, []


def _measured(assembled: dict[str, Any], images: int) -> "FidelityTable | None":
    """How near the images of a restore job came to the true ones, if those are known."""
    from cli.restorationsection import lines_of
    from reports.data import FidelityTable

    found = assembled.get("fidelity")
    return FidelityTable(lines=lines_of(found), note=f"Means over {images:,} images.") if found else None


def _grids_show(preset: str) -> "Shown":
    from imagemodels.presets import PRESETS

    return (PRESETS[preset].traits.shown if preset in PRESETS else None) or "generated"


def _shard_size(spec: dict[str, Any]) -> int:
    parsed = parse_spec(spec)
    assert isinstance(parsed, GenerateSpec | AnimateSpec | EditSpec | RestoreSpec)
    return parsed.shard_size


def _sheet_caption(spec: dict[str, Any]) -> str:
    """What a row of the contact sheet of an edit job shows; nothing of other jobs."""
    parsed = parse_spec(spec)
    if not isinstance(parsed, EditSpec):
        return ""
    made = {
        "attribute": f"moved towards {parsed.attribute} by {_listed(parsed.strengths)}",
        "interpolate": "the way from the first image to the last",
        "class": f"decoded as {_listed(parsed.classes)}",
        "optimise": "the image whose style it takes, and what it becomes",
    }
    return f"Before and after: a row is an image, and {made[parsed.way]}."


def _listed(values: "Sequence[object] | None") -> str:
    return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values or ())


def _attempt_line(
    number: int, attempt: "Attempt", task: "Task", worker: "Worker", *, names_task: bool
) -> "AttemptLine":
    from reports.data import AttemptLine

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
