"""Does a night's model become champion? Decided by a verdict, and by what an operator has allowed."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from db.aliases import Deed, aliases_of, locked_version, model_events, promote
from db.pipelines import RunView
from db.tables.models import ModelEvent, ModelVersion
from pixmill.aliases import CHAMPION
from pixmill.errors import Conflict
from pixmill.pipelines import EVIDENCE, JUDGED

VERDICT = "PROMOTE"  # of a gate; no other promotes


def decide_promotion(session: Session, view: RunView, body: Mapping[str, Any]) -> dict[str, Any]:
    """What a step that promotes leaves: model, promoted (true or false), and the reason.

    Moves the alias if the gate's verdict says so, `auto` allows it, and neither a frozen model, nor a move since the
    run began, nor another automatic promotion for the same day forbids it. Raises NotFound or UserError for a model
    that cannot be.
    """
    gate = view.named(body["gate"]).step
    verdict = gate.values.get("verdict")
    version = locked_version(session, body["model"])
    model = version.reference
    if verdict != VERDICT:
        left = f"the verdict of step {gate.name} is {verdict}" if verdict else f"step {gate.name} has left no verdict"
        return _kept(model, left)
    if (judged := gate.values.get("model")) != model:
        return _kept(model, f"step {gate.name} has judged {judged}")
    if not body.get("auto", False):
        champion = aliases_of(session, version.model_id).get(CHAMPION, 0)
        command = f"pixmill model promote {model} --expect {champion} --reason 'run {view.run.id}'"
        return _kept(model, f"auto is off; an operator may promote: {command}")
    if (told := _promoted_for(session, version, view)) is not None:
        return _kept(model, told)
    return _promoted(session, view, version, model, gate.values)


def _kept(model: str, reason: str) -> dict[str, Any]:
    return {"model": model, "promoted": False, "reason": reason}


def _promoted_for(session: Session, version: ModelVersion, view: RunView) -> str | None:
    """Whether this model was promoted by a run for the same day before."""
    for event in model_events(session, version.model_id):
        day = (event.evidence or {}).get("day")
        if _is_automatic(event) and day == view.run.facts["date"]:
            promoted = f"{version.model.name}@{event.to_version}"
            return f"{event.actor} has promoted {promoted} for {day}; one automatic promotion a day is allowed"
    return None


def _is_automatic(event: ModelEvent) -> bool:
    return event.alias == CHAMPION and event.action == "promote" and "pipeline_run" in (event.evidence or {})


def _promoted(
    session: Session, view: RunView, version: ModelVersion, model: str, gate: Mapping[str, Any]
) -> dict[str, Any]:
    run = view.run
    told = {key: gate[key] for key in ("job", *JUDGED, *EVIDENCE) if key in gate}
    evidence = {"pipeline_run": run.id, "day": run.facts["date"], **told}
    deed = Deed(actor=f"pipeline {run.name}", reason=f"run {run.id}: the verdict is {VERDICT}", evidence=evidence)
    expected = run.facts["champions"].get(version.model.name, 0)
    try:
        promote(session, model, CHAMPION, deed, expect=expected)
    except Conflict as error:  # the champion stays, and the night was none in vain: an operator can still promote
        return _kept(model, error.message)
    return {"model": model, "promoted": True, "reason": f"the verdict of run {run.id} is {VERDICT}"}
