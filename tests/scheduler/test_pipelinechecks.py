"""What is refused before a run begins: all that could not be run, in one line that names the step."""

from typing import Any

import pytest

from db.engine import Database
from pixmill.errors import DatasetError, NotFound, PixmillError, SpecError
from tests.scheduler.desk import Desk
from tests.scheduler.runs import NIGHT, Runs

TRAIN, MAKE = NIGHT["steps"]["train"], {"kind": "generate", "model": "${train.model}", "n": 1}
PING, GATE = {"kind": "ping"}, {"kind": "gate", "model": "line@1"}


def night(**steps: Any) -> dict[str, Any]:
    return {**NIGHT, "steps": steps}


@pytest.mark.parametrize(
    ("steps", "kind", "message", "hint"),
    [
        (
            {"make": {"kind": "generate", "model": "faces", "n": 1}},
            NotFound,
            "there is no model 'faces'",
            "pixmill submit train",
        ),
        ({"make": {"kind": "generate", "model": "line@1", "n": 0}}, SpecError, "'n' is 0", "another value"),
        ({"train": {**TRAIN, "model": "vea"}}, SpecError, "'vea'", "pixmill model presets"),
        ({"train": {**TRAIN, "images": "${run.date}"}}, SpecError, "'images' is '2026-11-22'", "another value"),
        ({"train": {**TRAIN, "dataset": "folder:/nowhere"}}, DatasetError, "/nowhere", ""),
        ({"train": {**TRAIN, "dataset": "cats"}}, DatasetError, "'cats'", ""),
        ({"train": TRAIN, "make": {**MAKE, "retries": -1}}, SpecError, "'retries' is -1", "another value"),
        ({"train": TRAIN, "make": {**MAKE, "model": "${train.version}"}}, SpecError, "'model' is 1", "another value"),
        ({"train": TRAIN, "make": {**MAKE, "model": "digits"}}, NotFound, "no model 'digits'", "after: [train]"),
        ({"train": TRAIN, "make": {**MAKE, "model": "digits@7", "after": ["train"]}}, NotFound, "'digits@7'", ""),
        (
            {"train": {**TRAIN, "start_from": "digits@champion"}},
            NotFound,
            "there is no model 'digits@champion'",
            "${champion.digits} is the champion, and none as long as there is none",
        ),
        (
            {"train": TRAIN, "make": {**MAKE, "name": "like-${champion.digits}"}},
            SpecError,
            "${champion.digits} is none, and stands inside a longer text",
            "stand alone",
        ),
        ({"make": {**MAKE, "model": "line@1", "format": "files"}}, SpecError, "format", "another format"),
        ({"judge": {"kind": "evaluate", "output": 7}}, NotFound, "there is no job 7", "pixmill ps"),
        ({"one": PING, "two": {**PING, "when": "${one.state}"}}, SpecError, "neither true nor false", "compare it"),
        (
            {"train": TRAIN, "up": {"kind": "promote", "model": "${train.model}", "gate": "train"}},
            SpecError,
            "step train is of kind train and judges nothing",
            "another step",
        ),
        (
            {"judge": {"kind": "ping"}, "up": {"kind": "promote", "model": "line@1", "gate": "judge"}},
            SpecError,
            "step judge is of kind ping and judges nothing",
            "another step",
        ),
        (
            {"gate": GATE, "up": {"kind": "promote", "model": "faces", "gate": "gate"}},
            SpecError,
            "faces names no version",
            "write model: ${train.model}",
        ),
        (
            {"gate": GATE, "up": {"kind": "promote", "model": "faces@1", "gate": "gate"}},
            NotFound,
            "there is no model 'faces@1'",
            "choose one of: line",
        ),
        (
            {"gate": GATE, "up": {"kind": "promote", "model": "line@1", "gate": "gate", "auto": "${run.date}"}},
            SpecError,
            "'auto' is '2026-11-22'",
            "true, or false",
        ),
    ],
)
def test_what_could_not_be_run_is_refused(
    database: Database, steps: dict[str, Any], kind: type[PixmillError], message: str, hint: str
) -> None:
    runs, last = Runs(database), [*steps][-1]
    if "line@1" in str(steps):
        Desk(database, None).trained("line")  # type: ignore[arg-type]
    before = runs.jobs()
    with pytest.raises(kind) as caught:
        runs.begin(night(**steps), outputs="s3://pictures/made")
    assert message in caught.value.message
    assert caught.value.message.startswith(f"step {last}: ")
    assert (hint in str(caught.value.hint), "\n" in caught.value.message) == (True, False)
    assert runs.jobs() == before
    with pytest.raises(NotFound):
        runs.view(1)


@pytest.mark.parametrize("model", ["digits", "digits@champion", "${train.model}"])
def test_a_model_that_a_step_before_makes_need_not_be_there(database: Database, model: str) -> None:
    runs = Runs(database)
    run_id = runs.begin(
        night(train=TRAIN, between={**PING, "after": ["train"]}, make={**MAKE, "model": model, "after": ["between"]})
    )
    assert runs.story(run_id)["make"] == "waiting"


def test_a_model_that_is_there_is_checked_as_by_a_submit(database: Database) -> None:
    Desk(database, None).trained("judge", preset="cnn")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="step make: model judge@1 is a classifier"):
        Runs(database).begin(night(make={"kind": "generate", "model": "judge", "n": 1}))
