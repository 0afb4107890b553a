"""The page of a pipeline run: from its facts, and the files that they name, to what is drawn."""

from collections.abc import Iterator
from pathlib import Path

from pages.files import Files
from pages.headline import figures, following, timing, verdict
from pages.nightlines import line_parts
from pages.nightparts import absent_words, data_part, gate_part, job_id, train_part
from pixmill.kinds import DATASET_MAKERS
from pixmill.notifications import NotificationState
from pixmill.pipelines import GATE, REPORT
from pixmill.runfacts import NoticeFacts, RunFacts, StepFacts
from pixmill.states import PipelineState, StepState
from pixmill.steptree import step_branches
from reports.night import NightReport, NoticeRow, StepRow
from reports.nightpage import write_night
from storage.paths import Layout

_SHOWN = (("trains", ("train",)), ("judges", (GATE,)), ("makes a data set", DATASET_MAKERS))


def write_run_page(facts: RunFacts, layout: Layout, path: Path) -> Path:
    """Write the page of a run to `path` in one step.  Raises ReportError and OSError."""
    return write_night(night_report(facts, layout), path)


def night_report(facts: RunFacts, layout: Layout) -> NightReport:
    """Everything that the page shows; what cannot be read of it is a warning on the page."""
    files = Files(layout)
    return NightReport(
        run_id=facts.id,
        name=facts.name,
        when=facts.scheduled_text.replace("T", " "),
        state=facts.state.value,
        verdict=verdict(facts),
        timing=timing(facts),
        begun_at=facts.begun_at,
        finished_at=facts.finished_at,
        told_at=facts.told_at,
        figures=figures(facts),
        steps=list(_step_rows(facts)),
        gates=[gate_part(step, files) for step in facts.of_kind(GATE)],
        trainings=[train_part(facts, step, files) for step in facts.of_kind("train")],
        data_sets=[data_part(step, files) for step in facts.of_kind(*DATASET_MAKERS)],
        lines=line_parts(facts),
        absent=absent_words(facts, _SHOWN),
        notices=[NoticeRow(at=one.at, text=one.text, state=_notice_state(one)) for one in facts.notices],
        notices_missing=_nobody_told(facts),
        following=following(facts),
        params=facts.params,
    )


def _step_rows(facts: RunFacts) -> Iterator[StepRow]:
    by_name = {step.name: step for step in facts.steps}
    end = facts.finished_at or facts.told_at
    seconds = max(1e-3, (end - facts.begun_at).total_seconds())
    for branch, name in step_branches({step.name: step.after for step in facts.steps}):
        yield _step_row(facts, by_name[name], branch, seconds)


def _step_row(facts: RunFacts, step: StepFacts, branch: str, run_seconds: float) -> StepRow:
    job = step.job
    began, took = (job.started_at if job else None), None
    if job is not None and began is not None:
        took = max(0.0, ((job.finished_at or facts.told_at) - began).total_seconds())
    first = None if began is None else (began - facts.begun_at).total_seconds() / run_seconds
    # The step that writes this page comes after the time of the run, and has no place on its axis.
    is_within = first is not None and took is not None and 0 <= first < 1
    is_this = step.kind == REPORT and step.state is StepState.SUBMITTED
    tries = f"{job.attempts} attempts" if job is not None and job.attempts > 1 else ""
    return StepRow(
        branch=branch,
        name=step.name,
        kind=step.kind,
        state=job.state.value if job is not None and not step.state.is_over else step.state.value,
        job=job_id(step),
        device=job.device if job else "",
        began_at=began,
        seconds=None if is_this else took,
        why="; ".join(part for part in ("it writes this page" if is_this else step.why, tries) if part),
        began=first if is_within else None,
        took=min(took / run_seconds, 1 - first) if is_within and took is not None and first is not None else None,
    )


def _notice_state(notice: NoticeFacts) -> str:
    state = notice.state
    if state == NotificationState.WAITING and notice.tries:
        state = f"tried {notice.tries} times in vain"
    return f"{state}: {notice.error}" if notice.error else state


def _nobody_told(facts: RunFacts) -> str:
    if facts.state is PipelineState.RUNNING:
        return "" if facts.notices else "There was nothing to tell so far."
    if any(one.text.startswith(f"pipeline {facts.name}: run {facts.id} ") for one in facts.notices):
        return ""
    return "The end of the run is told when this page is written, with its place."
