"""The first screen in words: the verdict in a sentence or two, and the key figures."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from reports.data import (
    CompressSection,
    DecompressSection,
    EvaluateSection,
    FidelityTable,
    GenerateSection,
    JobReport,
    MetricLine,
    TrainSection,
)
from reports.gates import GateSection
from reports.history import ProgressLine
from reports.numbers import count_text, duration_text, number_text, percent_text, size_text

_NOUNS = {
    "train": "Training",
    "generate": "Generation",
    "animate": "Animation",
    "edit": "Editing",
    "evaluate": "Evaluation",
    "gate": "Gating",
    "compress": "Compression",
    "decompress": "Decompression",
    "restore": "Restoration",
    "report": "Writing the page",
    "ping": "The ping",
}
_STATE_PHRASES = {
    "pending": "is waiting to start",
    "queued": "is about to start",
    "running": "is still running",
    "held": "is held",
    "succeeded": "succeeded",
    "failed": "failed",
    "cancelled": "was cancelled",
}
_ENDED = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True, kw_only=True)
class KeyFigure:
    """One number of the first screen, with what it is and how to read it."""

    label: str
    value: str
    note: str = ""


def verdict(report: JobReport) -> str:
    """Say in one or two sentences what became of the job."""
    noun = _NOUNS.get(report.kind, f"Job “{report.kind}”")
    phrase = _STATE_PHRASES.get(report.state, f"is {report.state}")
    seconds = run_seconds(report)
    took = f" after {duration_text(seconds)}" if seconds is not None and report.state in _ENDED else ""
    reason = f": {report.reason}" if report.reason else ""
    first = f"{noun} {phrase}{took}{reason}".rstrip(".")
    return " ".join([f"{first}.", *_findings(report)])


def key_figures(report: JobReport) -> list[KeyFigure]:
    """Choose the numbers of the first screen: those of the job's kind, then its run time and its attempts."""
    figures: list[KeyFigure] = []
    if report.train:
        figures += _train_figures(report.train)
    if report.generate:
        figures += _generate_figures(report.generate)
    if report.evaluate:
        figures += _evaluate_figures(report.evaluate)
    if report.gate:
        figures += _gate_figures(report.gate)
    if report.compress:
        figures += _compress_figures(report.compress)
    if report.decompress:
        figures += _decompress_figures(report.decompress)
    return figures + _run_figures(report)


def run_seconds(report: JobReport) -> float | None:
    """Give the time from start to end, or None for a job that has not both."""
    if report.started_at is None or report.finished_at is None:
        return None
    return max(0.0, (report.finished_at - report.started_at).total_seconds())


def images_seen(section: TrainSection) -> float | None:
    """Give how far the training came: as told, else as far as any curve or grid goes."""
    if section.images_seen is not None:
        return section.images_seen
    lines = [*section.losses, *([section.quality] if section.quality else [])]
    places = [max(line.images_seen) for line in lines if len(line.images_seen)] + [
        grid.images_seen for grid in section.grids
    ]
    return max(places, default=None)


def way_to_noise(metric: MetricLine) -> float | None:
    """Give how far the value lies on the way from real images (0) to noise (1), or None without both controls."""
    if metric.floor is None or metric.ceiling is None or metric.floor == metric.ceiling:
        return None
    return (metric.value - metric.floor) / (metric.ceiling - metric.floor)


def _findings(report: JobReport) -> list[str]:
    findings = [_progress_finding(report.progress)] if report.progress else []
    if report.train and report.train.quality and (best := report.train.quality.best()):
        findings.append(
            f"The best {report.train.quality.name} was {number_text(best[1])}, after {count_text(best[0])} images."
        )
    if report.generate:
        findings.append(_generate_finding(report.generate))
    tables = [section.restoration for section in (report.train, report.generate) if section]
    findings += [_restoration_finding(table) for table in tables if table]
    if report.evaluate and report.evaluate.metrics:
        findings.append(_evaluate_finding(report.evaluate.metrics[0]))
    if report.gate:
        findings.append(_gate_finding(report.gate))
    if report.compress:
        findings.append(_compress_finding(report.compress))
    if report.decompress:
        findings.append(_decompress_finding(report.decompress))
    if count := _warning_count(report):
        findings.append(f"{count} warning{'s' if count > 1 else ''} below.")
    return findings


def _progress_finding(progress: ProgressLine) -> str:
    share = f" ({percent_text(progress.done / progress.total)})" if progress.total else ""
    left = f", about {duration_text(progress.eta_seconds)} to go" if progress.eta_seconds is not None else ""
    phase = f"{progress.phase}: " if progress.phase else ""
    return f"{phase}{number_text(progress.done)} of {number_text(progress.total)} images{share}{left}.".capitalize()


def _restoration_finding(table: FidelityTable) -> str:
    restored, damaged = table.lines[:2]
    return f"Restoring lifts the PSNR from {damaged.psnr:.2f} to {restored.psnr:.2f} dB."


def _generate_finding(section: GenerateSection) -> str:
    written = f"{number_text(section.images)} images"
    if section.images != section.images_planned:
        written = f"{number_text(section.images)} of {number_text(section.images_planned)} images"
    made = section.animations_made
    what = f"{number_text(made)} animation{'' if made == 1 else 's'}: {written}" if made else written
    return f"It wrote {what} in {number_text(section.shards)} shard{'' if section.shards == 1 else 's'}."


def _evaluate_finding(metric: MetricLine) -> str:
    text = f"{metric.name} is {number_text(metric.value)} over {number_text(metric.n)} images"
    share = way_to_noise(metric)
    if share is None:
        return f"{text}."
    if share <= 0:
        return f"{text}, as good as real images."
    return f"{text}, {percent_text(share)} of the way from real images to noise."


def _gate_finding(section: GateSection) -> str:
    of_whom = f"{section.model} against {section.against}" if section.against else f"{section.model} alone"
    return f"The verdict on {of_whom} is {section.verdict}."


def _compress_finding(section: CompressSection) -> str:
    own = section.rates[0]
    other = section.rates[1]
    share = percent_text(own.bits_per_pixel / other.bits_per_pixel)
    return f"{number_text(own.n)} images took {size_text(section.size_bytes)}, {share} of what {other.name} takes."


def _decompress_finding(section: DecompressSection) -> str:
    found = f"It wrote {number_text(section.images)} images"
    if section.differing:
        return f"{found}; {number_text(section.differing)} differ from those recorded, which were computed otherwise."
    return f"{found}, {'all' if section.verified == section.images else section.verified} as they were recorded."


def _warning_count(report: JobReport) -> int:
    sections = (report.train, report.generate, report.evaluate, report.gate, report.compress)
    return sum(len(section.warnings) for section in sections if section)


def _train_figures(section: TrainSection) -> list[KeyFigure]:
    figures = []
    if section.quality and (best := section.quality.best()):
        note = f"after {count_text(best[0])} images; {section.quality.better} is better"
        figures.append(KeyFigure(label=f"best {section.quality.name}", value=number_text(best[1]), note=note))
    if (seen := images_seen(section)) is not None:
        figures.append(KeyFigure(label="images seen", value=count_text(seen)))
    if section.images_per_second is not None:
        figures.append(KeyFigure(label="speed", value=number_text(section.images_per_second), note="images per second"))
    return figures + _weakest_class(section.per_class_accuracy)


def _generate_figures(section: GenerateSection) -> list[KeyFigure]:
    done = (
        "all that were asked for"
        if section.images == section.images_planned
        else f"of {number_text(section.images_planned)}"
    )
    per_image = f"{size_text(section.size_bytes / section.images)} an image" if section.images else ""
    shards = (
        f"of {number_text(section.shards_planned)}" if section.shards != section.shards_planned else "all committed"
    )
    figures = [
        KeyFigure(label="images", value=number_text(section.images), note=done),
        KeyFigure(label="shards", value=number_text(section.shards), note=shards),
        KeyFigure(label="size", value=size_text(section.size_bytes), note=per_image),
    ]
    if section.images_per_second is not None:
        bound = f"images per second, bound by {section.bound_by}" if section.bound_by else "images per second"
        figures.append(KeyFigure(label="speed", value=number_text(section.images_per_second), note=bound))
    return figures


def _evaluate_figures(section: EvaluateSection) -> list[KeyFigure]:
    figures = [
        KeyFigure(
            label=metric.name,
            value=number_text(metric.value),
            note=f"n = {number_text(metric.n)}; {metric.better} is better",
        )
        for metric in section.metrics[:3]
    ]
    return figures + _weakest_class(section.per_class_accuracy)


def _gate_figures(section: GateSection) -> list[KeyFigure]:
    counts = Counter(line.outcome for line in section.lines)
    told = ", ".join(f"{number} {outcome}" for outcome, number in counts.most_common())
    return [KeyFigure(label="verdict", value=section.verdict, note=told)]


def _weakest_class(accuracies: Mapping[str, float]) -> list[KeyFigure]:
    if not accuracies:
        return []
    name, accuracy = min(accuracies.items(), key=lambda pair: pair[1])
    return [KeyFigure(label="weakest class", value=percent_text(accuracy), note=name)]


def _compress_figures(section: CompressSection) -> list[KeyFigure]:
    own = section.rates[0]
    return [
        KeyFigure(label="bits per pixel", value=number_text(own.bits_per_pixel), note="whole files"),
        KeyFigure(label="PSNR", value="no loss" if own.psnr is None else f"{own.psnr:.2f} dB", note="higher is better"),
        KeyFigure(label="SSIM", value=f"{own.ssim:.3f}", note="higher is better; 1 is equal"),
    ]


def _decompress_figures(section: DecompressSection) -> list[KeyFigure]:
    return [
        KeyFigure(label="images", value=number_text(section.images)),
        KeyFigure(label="as recorded", value=number_text(section.verified), note="pixel by pixel"),
        KeyFigure(label="size", value=size_text(section.size_bytes), note="as PNG"),
    ]


def _run_figures(report: JobReport) -> list[KeyFigure]:
    figures = []
    if (seconds := run_seconds(report)) is not None:
        figures.append(KeyFigure(label="run time", value=duration_text(seconds)))
    if len(report.attempts) > report.tasks:
        note = f"at {number_text(report.tasks)} tasks" if report.tasks > 1 else ""
        figures.append(KeyFigure(label="attempts", value=number_text(len(report.attempts)), note=note))
    return figures
