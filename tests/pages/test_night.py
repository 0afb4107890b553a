"""The page of a run, from facts and files: what it says, and what it says where something is missing."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from PIL import Image
from pydantic import BaseModel

from pages.night import night_report, write_run_page
from pixmill.runfacts import RunFacts
from pixmill.states import PipelineState, State, StepState
from reports.nightpage import render_night
from storage.paths import Layout
from tests.pages.nights import BEGAN, DRIFT, gate_result, job, notice, promoted_night, schedule, step, version
from tests.reports.pages import Page, pixels_of
from tests.reports.test_html import HOSTILE

Facts = TypeVar("Facts", bound=BaseModel)


def page_of(facts: RunFacts, root: Path) -> Page:
    return Page(render_night(night_report(facts, Layout(root))))


def test_a_good_night_on_one_page(tmp_path: Path) -> None:
    facts = promoted_night(tmp_path)
    path = write_run_page(facts, Layout(tmp_path), tmp_path / "page.html")
    text = path.read_text(encoding="utf-8")
    assert text == render_night(night_report(facts, Layout(tmp_path)))
    page = Page(text)
    for words in (
        "night 2026-11-22 02:30:00+01:00",
        "PROMOTED digits@7. digits@7 is champion, digits@6 was.",
        "by schedule nightly, in time",
        "└─ gate succeeded 2 10 min",
        "└─ promote succeeded – – – the verdict of run 3 is PROMOTE",
        "report running 4 – mill:cuda:0 it writes this page",
        "Verdict: PROMOTE",
        "kid regression passed kid 0.012 against 0.015 … passed",
        "coverage min failed",
        "Challenger digits@7 Champion digits@6",
        "gate: at most 0.0500",
        "gate: worst beside the champion 0.0200",
        "champion digits@6 0.0200",
        "exchanged 60 added, 10 removed",
        "The upright mark is what digits@6 has learnt from.",
        f"manifest {tmp_path}/outputs/3/dataset.json verify pixmill output verify 3",
        "digits: champion is 7, was 6; by pipeline night sent",
        "The end of the run is told when this page is written, with its place.",
        "Schedule nightly runs next at 2026-11-23 02:30+01:00.",
    ):
        assert words in page.text, words
    policy = next(meta["content"] for meta in page.attributes_of("meta") if "http-equiv" in meta)
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert not page.attributes_of("script")
    assert len(text) < 200_000


def test_its_pictures_are_those_of_the_jobs(tmp_path: Path) -> None:
    images = page_of(promoted_night(tmp_path), tmp_path).attributes_of("img")
    files = ("runs/2/challenger.png", "runs/2/champion.png", "outputs/3/contact-sheet.png")
    for image, file in zip(images, files, strict=True):
        with Image.open(tmp_path / file) as picture:
            assert np.array_equal(pixels_of(image["src"]), np.asarray(picture.convert("RGB")))


def test_pictures_that_would_make_it_too_large_are_left_out(tmp_path: Path) -> None:
    report = night_report(promoted_night(tmp_path), Layout(tmp_path))
    whole = render_night(report)
    text = render_night(report, max_bytes=len(whole.encode()) - 1)
    assert len(text.encode()) < len(whole.encode())
    assert "left out to keep the report small" in Page(text).text


def without(facts: Facts, **changes: Any) -> Facts:
    return facts.model_copy(update=changes)


def test_the_first_night_has_no_champion(tmp_path: Path) -> None:
    facts = promoted_night(tmp_path)
    train, gate, *others = facts.steps
    assert train.job is not None
    assert gate.job is not None
    alone = gate.job.model_copy(update={"result": gate_result("PROMOTE", None)})
    steps = (
        without(train, job=without(train.job, compared=None, result={})),
        without(gate, job=alone),
        *others,
    )
    line = facts.lines[0].model_copy(update={"before": None, "measured": ()})
    page = page_of(without(facts, steps=steps, lines=(line,)), tmp_path)
    for words in (
        "digits@7 is champion, the first of digits.",
        "digits@7 none before",
        "no champion beside it",
        "There was no champion to show beside it.",
        "There was no champion to compare with.",
        "There were no data before to compare with.",
        "No gate has measured kid of a version of digits yet.",
    ):
        assert words in page.text, words
    assert len(page.attributes_of("img")) == 2


def failed_night(root: Path) -> RunFacts:
    """A night whose data were refused."""
    refused = {**DRIFT, "broken": ["60% fewer (max_shrink 0.5)"], "accepted": False}
    folder = root / "runs" / "1"
    folder.mkdir(parents=True)
    (folder / "drift.json").write_text(json.dumps(refused))
    why = {"reason": "DataRefused", "message": "60% fewer"}
    skipped = {"state": StepState.SKIPPED, "reason": "Dependency", "message": "step train was not successful"}
    return promoted_night(root).model_copy(
        update={
            "state": PipelineState.FAILED,
            "reason": "DataRefused",
            "message": "step train: DataRefused: 60% fewer",
            "steps": (
                step(
                    "train",
                    "train",
                    state=StepState.FAILED,
                    job=job(1, "train", state=State.FAILED, folders=["runs/1"]),
                    **why,
                ),
                step("gate", "gate", "train", **skipped),
                step("bulk", "generate", "gate", **skipped),
            ),
            "lines": (promoted_night(root).lines[0].model_copy(update={"now": 6}),),
        }
    )


def test_a_failed_night_says_at_which_step_and_that_the_champion_stays(tmp_path: Path) -> None:
    facts = failed_night(tmp_path)
    (tmp_path / "runs/1/losses.jsonl").unlink()
    (tmp_path / "runs/1/quality.jsonl").unlink()
    page = page_of(facts, tmp_path)
    for words in (
        "It failed at step train: DataRefused: 60% fewer. The champion digits@6 stays.",
        "Step gate was skipped (Dependency), and has left no verdict.",
        "Step train failed (DataRefused), and has left no curve.",
        "refused 60% fewer (max_shrink 0.5)",
        "Step bulk was skipped (Dependency), and has left no data set.",
        "0 of 3 1 failed, 2 skipped",
    ):
        assert words in page.text, words
    assert page.attributes_of("img") == []


def test_a_night_that_runs_says_where_it_is(tmp_path: Path) -> None:
    going = step(
        "train", "train", state=StepState.SUBMITTED, finished_at=None, job=job(1, "train", state=State.RUNNING)
    )
    waiting = step("gate", "gate", "train", state=StepState.WAITING, finished_at=None)
    facts = without(
        promoted_night(tmp_path / "unused"),
        state=PipelineState.RUNNING,
        finished_at=None,
        steps=(going, waiting),
        notices=(),
        schedule=None,
    )
    page = page_of(facts, tmp_path)
    for words in (
        "It still runs: step train (job 1); 0 of 2 steps have succeeded.",
        "Step gate has not begun: there is no verdict yet.",
        "Step train is running: there is no curve yet.",
        "There was nothing to tell so far.",
        "it comes again when somebody begins it",
        "begun by ann",
        "31 min so far",
        "No step of this pipeline makes a data set.",
    ):
        assert words in page.text, words


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"promoted": False, "reason": "auto is off"}, "digits@7 was not promoted: auto is off. The champion digits@6"),
        ({"promoted": True, "reason": ""}, "PROMOTED digits@7. digits@7 is champion, digits@6 was."),
    ],
)
def test_what_a_promotion_has_decided(tmp_path: Path, values: dict[str, Any], words: str) -> None:
    facts = promoted_night(tmp_path)
    steps = [
        without(one, values={"model": "digits@7", **values}) if one.kind == "promote" else one for one in facts.steps
    ]
    now = 7 if values["promoted"] else 6
    lines = (facts.lines[0].model_copy(update={"now": now}),)
    assert words in night_report(without(facts, steps=tuple(steps), lines=lines), Layout(tmp_path)).verdict


@pytest.mark.parametrize(
    ("changes", "timing", "following"),
    [
        ({"begun_at": BEGAN + timedelta(hours=3)}, "caught up 3 h after its time", "runs next"),
        ({"schedule": schedule(by_hand="bob")}, "asked of schedule nightly by bob", "runs next"),
        ({"schedule": schedule(paused=True)}, "in time", "is paused: nothing comes next"),
        ({"schedule": schedule(next_for=None)}, "in time", "has no further time"),
    ],
)
def test_its_time_and_the_next_one(tmp_path: Path, changes: dict[str, Any], timing: str, following: str) -> None:
    report = night_report(without(promoted_night(tmp_path), **changes), Layout(tmp_path))
    assert timing in report.timing
    assert following in report.following


def test_what_cannot_be_read_is_a_warning(tmp_path: Path) -> None:
    facts = promoted_night(tmp_path)
    (tmp_path / "runs/1/losses.jsonl").write_text("no JSON\n")
    (tmp_path / "runs/2/challenger.png").write_bytes(b"no PNG")
    (tmp_path / "outputs/3/contact-sheet.png").unlink()
    page = page_of(facts, tmp_path)
    for words in (
        "losses.jsonl, line 1",
        "neither PNG nor WebP: challenger.png",
        "Its contact sheet is not on this host.",
    ):
        assert words in page.text, words


def test_a_notification_that_does_not_arrive_says_why(tmp_path: Path) -> None:
    notices = (
        notice("job 1 failed", "waiting", 3, "no answer"),
        notice("pipeline night: run 3 succeeded", "failed", 12),
    )
    page = page_of(without(promoted_night(tmp_path), notices=notices), tmp_path)
    assert "tried 3 times in vain: no answer" in page.text
    assert "The end of the run is told" not in page.text


def test_hostile_words_stay_words(tmp_path: Path) -> None:
    """Names, reasons and paths come from people and programs."""
    facts = promoted_night(tmp_path)
    text = facts.model_dump_json()
    for name in ("night", "ann", "mill:cuda:0", "nightly", "zero", "digits-2026-11-22", "few images"):
        text = text.replace(json.dumps(name), json.dumps(HOSTILE))
    hostile = RunFacts.model_validate_json(text).model_copy(
        update={
            "message": HOSTILE,
            "state": PipelineState.FAILED,
            "params": {HOSTILE: HOSTILE},
            "notices": (notice(HOSTILE),),
        }
    )
    plain, page = page_of(facts, tmp_path), page_of(hostile, tmp_path)
    assert page.count("script", "") == 0
    assert {tag for tag, _ in page.elements} <= {tag for tag, _ in plain.elements} | {"b"}
    assert "<script>alert('1')</script>" in page.text


def test_a_pipeline_that_neither_trains_nor_judges(tmp_path: Path) -> None:
    facts = without(promoted_night(tmp_path), steps=(step("one", "ping", job=job(1, "ping")),), lines=())
    page = page_of(facts, tmp_path)
    assert "All is done: 1 of 1 steps have succeeded." in page.text
    assert "No step of this pipeline trains, judges or makes a data set." in page.text


def test_paths_that_lead_out_of_the_root_show_nothing(tmp_path: Path) -> None:
    facts = promoted_night(tmp_path / "root")
    save = tmp_path / "secret.png"
    Image.new("RGB", (8, 8)).save(save)
    gate = next(one for one in facts.steps if one.kind == "gate")
    assert gate.job is not None
    result = {**gate.job.result, "challenger_sheet": "../secret.png", "champion_sheet": str(save)}
    leading_out = without(gate, job=without(gate.job, result=result, folders=("../..",)))
    steps = tuple(leading_out if one is gate else one for one in facts.steps)
    page = page_of(without(facts, steps=steps), tmp_path / "root")
    assert [image["alt"] for image in page.attributes_of("img")] == ["Contact sheet of the data set"]


def test_a_champion_of_another_feature_net_has_no_line(tmp_path: Path) -> None:
    facts = promoted_night(tmp_path)
    line = facts.lines[0].model_copy(update={"before": version(6, metric="kid@cnn-other")})
    page = page_of(without(facts, lines=(line,)), tmp_path)
    assert "The champion digits@6 was measured by kid@cnn-other, which does not compare." in page.text
