"""Facts of nights, as the database gives them, and the files that they name."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from pixmill.runfacts import (
    JobFacts,
    LineFacts,
    Measured,
    NoticeFacts,
    RunFacts,
    ScheduleFacts,
    StepFacts,
    VersionFacts,
)
from pixmill.states import PipelineState, State, StepState
from storage.pictures import contact_sheet, save_png

BEGAN = datetime(2026, 11, 22, 1, 30, 4, tzinfo=UTC)
NET = "cnn-1a2b3c4d"
KID = f"kid@{NET}"
DRIFT: dict[str, Any] = {
    "against": "digits@6",
    "is_same": False,
    "before": 100,
    "now": 150,
    "added": 60,
    "removed": 10,
    "class_shift": 0.1,
    "classes": [{"name": "zero", "before": 0.5, "now": 0.6}],
    "mean_shift": [0.01],
    "deviation_shift": [-0.02],
    "image_shift": 0.03,
    "thumbnails": {"value": 1.5, "expected": 0.5, "of": "thumbnails"},
    "features": None,
    "shrink": 0.0,
}


def version(number: int, *, metric: str = KID, value: float = 0.02, **histogram: int) -> VersionFacts:
    return VersionFacts(
        reference=f"digits@{number}",
        metric_name=metric,
        metric_value=value,
        dataset="digits",
        histogram=histogram or {"zero": 50, "one": 50},
    )


def job(number: int, kind: str, **fields: Any) -> JobFacts:
    """A job that has succeeded, ten minutes after the one before it."""
    usual: dict[str, Any] = {
        "state": State.SUCCEEDED,
        "name": "digits",
        "spec": {},
        "result": {},
        "folders": [f"runs/{number}"],
        "device": "mill:cuda:0",
        "attempts": 1,
        "submitted_at": BEGAN,
        "started_at": BEGAN + timedelta(minutes=10 * (number - 1)),
        "finished_at": BEGAN + timedelta(minutes=10 * number),
    }
    return JobFacts(id=number, kind=kind, **{**usual, **fields})


def step(name: str, kind: str, *after: str, **fields: Any) -> StepFacts:
    usual: dict[str, Any] = {
        "state": StepState.SUCCEEDED,
        "reason": None,
        "message": None,
        "values": {},
        "finished_at": BEGAN + timedelta(minutes=30),
        "job": None,
    }
    return StepFacts(name=name, kind=kind, after=after, **{**usual, **fields})


def gate_result(verdict: str, against: str | None) -> dict[str, Any]:
    rows = [
        {"gate": "kid", "rule": "regression", "outcome": "passed", "text": "kid 0.012 against 0.015 … passed"},
        {"gate": "coverage", "rule": "min", "outcome": "failed", "text": "coverage 0.05: at least 0.1 … failed"},
    ]
    sides = {"challenger": {"mean": 0.012}, "champion": {"mean": 0.015} if against else None}
    sheets = {
        "challenger_sheet": "runs/2/challenger.png",
        **({"champion_sheet": "runs/2/champion.png"} if against else {}),
    }
    return {
        "verdict": verdict,
        "model": "digits@7",
        "against": against,
        "aliases": {},
        "primary": {"gate": "kid", "rule": "primary", **sides},
        "gates": rows,
        "seeds": [0, 1, 2],
        "images": 2000,
        "dataset": "digits",
        "feature_net": {"name": NET, "digest": "1a2b3c4d" * 8},
        "warnings": ["digits@7: few images"],
        "sheet_columns": ["zero", "one"],
        **sheets,
    }


def promoted_night(root: Path, **changes: Any) -> RunFacts:
    """A night that went well, with all its files below `root`."""
    write_files(root)
    made = version(7, zero=90, one=60)
    result = {"model": "digits@7", "drift": DRIFT}
    limits = {"kid": {"max": 0.05, "worse_by": 0.005}}
    spec = {"model": "digits@7", "against": "digits@6", "gates": limits, "primary": "kid"}
    output = {"output": "outputs/3", "index": "outputs/3/dataset.json", "contact_sheet": "outputs/3/contact-sheet.png"}
    sums = {"images": 40, "shards": 2, "bytes": 12_345, "class_counts": {"zero": 20, "one": 20}, "model": "digits@7"}
    reason = "the verdict of run 3 is PROMOTE"
    steps = (
        step("train", "train", job=job(1, "train", result=result, made=made, compared=version(6))),
        step(
            "gate",
            "gate",
            "train",
            job=job(2, "gate", spec=spec, result=gate_result("PROMOTE", "digits@6")),
            values={"verdict": "PROMOTE", "model": "digits@7", "against": "digits@6"},
        ),
        step("promote", "promote", "gate", values={"model": "digits@7", "promoted": True, "reason": reason}),
        step(
            "bulk", "generate", "promote", job=job(3, "generate", result={**output, **sums}, name="digits-2026-11-22")
        ),
        step("report", "report", "train", "gate", "promote", "bulk", state=StepState.SUBMITTED, job=writing()),
    )
    usual: dict[str, Any] = {
        "id": 3,
        "name": "night",
        "state": PipelineState.SUCCEEDED,
        "reason": None,
        "message": None,
        "scheduled_for": BEGAN - timedelta(seconds=4),
        "scheduled_text": "2026-11-22T02:30:00+01:00",
        "begun_at": BEGAN,
        "finished_at": BEGAN + timedelta(minutes=30),
        "told_at": BEGAN + timedelta(minutes=31),
        "user": "ann",
        "params": {"images": 200_000},
        "steps": steps,
        "lines": (LineFacts(name="digits", before=version(6), now=7, measured=tuple(measured())),),
        "notices": (notice("digits: champion is 7, was 6; by pipeline night"),),
        "schedule": schedule(),
    }
    return RunFacts(**{**usual, **changes})


def writing() -> JobFacts:
    """The job that writes the page."""
    began = BEGAN + timedelta(minutes=30)
    return job(4, "report", state=State.RUNNING, started_at=began, finished_at=None)


def measured() -> list[Measured]:
    values = {1: 0.06, 4: 0.03, 6: 0.015, 7: 0.012}
    newer = [Measured(version=number, metric=KID, value=value) for number, value in values.items()]
    return [Measured(version=3, metric="kid@cnn-old", value=0.2), *newer]


def notice(text: str, state: str = "sent", tries: int = 1, error: str | None = None) -> NoticeFacts:
    return NoticeFacts(at=BEGAN, text=text, state=state, tries=tries, error=error)


def schedule(**changes: Any) -> ScheduleFacts:
    usual: dict[str, Any] = {
        "name": "nightly",
        "next_for": "2026-11-23 02:30+01:00",
        "paused": False,
        "jitter_seconds": 0.0,
        "by_hand": None,
    }
    return ScheduleFacts(**{**usual, **changes})


def write_files(root: Path) -> None:
    """What the jobs of a good night have left."""
    trained, judged, made = root / "runs" / "1", root / "runs" / "2", root / "outputs" / "3"
    for folder in (trained, judged, made):
        folder.mkdir(parents=True, exist_ok=True)
    lines = [{"images": 1000 * number, "losses": {"kl": 1.0 / number}, "rate": 10.0} for number in range(1, 9)]
    write_lines(trained / "losses.jsonl", lines)
    write_lines(trained / "quality.jsonl", [{"images": 4000, "value": 0.03}, {"images": 8000, "value": 0.018}])
    random = np.random.default_rng(0)
    for path in (judged / "challenger.png", judged / "champion.png", made / "contact-sheet.png"):
        save_png(path, contact_sheet(random.integers(0, 256, (12, 8, 8, 1), dtype=np.uint8), columns=2))


def write_lines(path: Path, entries: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
