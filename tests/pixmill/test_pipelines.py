"""Pipelines as a file has them: what is read, and what is refused in one line that names the step."""

from typing import Any

import pytest

from pixmill.errors import SpecError
from pixmill.pipelines import given_params, parse_pipeline, read_steps
from pixmill.references import parse_condition, references_in, substituted

PING = {"kind": "ping"}
TRAIN = {"kind": "train", "model": "vae", "dataset": "digits"}
GATED = {"train": TRAIN, "gate": {"kind": "gate", "model": "${train.model}"}}


def pipeline(**steps: Any) -> dict[str, Any]:
    return {"kind": "pipeline", "name": "night", "params": {"n": 5, "need": None}, "steps": steps}


def test_a_step_waits_for_what_it_names_and_for_what_it_refers_to() -> None:
    made = {
        "kind": "generate",
        "model": "${train.model}",
        "n": 1,
        "after": ["first"],
        "when": "${gate.verdict} == HOLD",
    }
    promote = {"kind": "promote", "model": "${train.model}", "gate": "gate", "after_policy": "any"}
    spec = parse_pipeline(pipeline(first=PING, **GATED, made=made, promote=promote))
    steps = {step.name: step for step in read_steps(spec)}
    assert steps["made"].after == ("first", "train", "gate")
    assert steps["promote"].after == ("gate", "train")
    assert (steps["made"].any_outcome, steps["promote"].any_outcome) == (False, True)
    assert dict(steps["made"].body) == {"kind": "generate", "model": "${train.model}", "n": 1}


def test_a_report_waits_for_all_other_steps_however_they_end() -> None:
    steps = read_steps(parse_pipeline(pipeline(page={"kind": "report", "priority": 3}, one=PING, two=PING)))
    assert steps[0].after == ("one", "two")
    assert (steps[0].any_outcome, steps[0].fields) == (True, ("job", "state", "page"))
    assert steps[0].body == {"kind": "report", "run": "${run.id}", "priority": 3}


def test_the_order_of_the_steps_outlives_a_database_that_sorts_keys() -> None:
    spec = parse_pipeline(pipeline(zebra=PING, ant=PING, mole=PING))
    assert parse_pipeline(spec.stored()) == spec
    assert [step["step"] for step in spec.stored()["steps"]] == ["zebra", "ant", "mole"]
    assert spec.document()["steps"]["ant"] == PING


@pytest.mark.parametrize(
    ("steps", "message", "hint"),
    [
        ({"one": {"kind": "trian"}}, "step one: unknown kind 'trian'", "did you mean 'train'?"),
        ({"one": {}}, "step one: there is no 'kind'", "choose one of"),
        ({"one": {**PING, "after": ["two"]}, "too": PING}, "step one: there is no step 'two'", "did you mean 'too'?"),
        ({"one": {**PING, "after": "two"}}, "step one: 'after' is 'two'", "write after: [train]"),
        ({"one": {**PING, "after_policy": "all"}}, "step one: 'after_policy' is 'all'", "ok, or any"),
        ({"one": {**PING, "after-policy": "any"}}, "step one: unknown key 'after-policy'", "'after_policy'"),
        ({"one": {**PING, "retires": 3}}, "step one: unknown key 'retires' of kind ping", "'retries'"),
        ({"one": {**PING, "key": "x"}}, "step one: 'key' is for one job", "leave it out"),
        ({"one": {**PING, "name": "${trian.model}"}, "train": TRAIN}, "${trian.model} refers to no step", "'train'"),
        ({"one": {**PING, "name": "${train.modle}"}, "train": TRAIN}, "train has no 'modle'", "did you mean 'model'?"),
        (
            {"one": {**PING, "name": "${params.m}"}},
            "step one: ${params.m}: params has no 'm'",
            "choose one of: n, need",
        ),
        ({"one": {**PING, "name": "${run.day}"}}, "step one: ${run.day}: run has no 'day'", "choose one of"),
        ({"one": {**PING, "name": "${train model}"}}, "a reference that cannot be read", "${STEP.FIELD}"),
        ({"one": {**PING, "when": "train.model > 3"}}, "condition 'train.model > 3' cannot be read", "write when:"),
        ({"run": PING}, "step run: the name is taken", "another name"),
        ({"Step 1": PING}, "'steps.Step 1", ""),
        ({}, "'steps' is {}", ""),
        ({**GATED, "p": {"kind": "promote", "gate": "gate"}}, "step p: 'model' is missing", "${train.model}"),
        ({**GATED, "p": {"kind": "promote", "model": "a@1"}}, "step p: 'gate' is missing", "verdict"),
        ({**GATED, "p": {"kind": "promote", "model": "a@1", "gate": "gaet"}}, "no step 'gaet'", "'gate'"),
        (
            {**GATED, "p": {"kind": "promote", "model": "a@1", "gate": "gate", "auto": 3}},
            "'auto' is 3",
            "true, or false",
        ),
        (
            {
                "one": {**PING, "after": ["three"]},
                "two": {**PING, "after": ["one"]},
                "three": {**PING, "after": ["two"]},
            },
            "step one: the steps wait for one another in a ring: one → three → two → one",
            "take three out of what one waits for",
        ),
        ({"one": {**PING, "after": ["one"]}}, "in a ring: one → one", "take one out"),
        (
            {"one": PING, "page": {"kind": "report", "after": ["one"]}},
            "step page: 'after' is not for a report",
            "leave",
        ),
        ({"one": PING, "page": {"kind": "report", "run": 3}}, "step page: 'run' is not for a report", "leave it out"),
        (
            {"one": {**PING, "after": ["page"]}, "page": {"kind": "report"}},
            "step one waits for page, a report, which waits for all other steps",
            "let nothing wait for a report",
        ),
        (
            {"page": {"kind": "report"}, "more": {"kind": "report", "when": "${page.state} == failed"}},
            "waits for page",
            "",
        ),
    ],
)
def test_what_cannot_be_is_refused(steps: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_pipeline(pipeline(**steps))
    assert message in caught.value.message
    assert hint in str(caught.value.hint)
    assert "\n" not in caught.value.message


def test_two_steps_of_one_name_in_a_list_are_refused() -> None:
    with pytest.raises(SpecError, match="two steps have one name"):
        parse_pipeline({**pipeline(), "steps": [{"step": "one", **PING}, {"step": "one", **PING}]})


def test_parameters_have_the_type_of_their_default() -> None:
    spec = parse_pipeline(pipeline(one=PING))
    assert given_params(spec, {"need": "x"}) == {"n": 5, "need": "x"}
    for given, message in (
        ({}, "'need' .* has no value"),
        ({"n": "7"}, "default is 5"),
        ({"m": 1}, "no parameter 'm'"),
    ):
        with pytest.raises(SpecError, match=message):
            given_params(spec, given)


def test_a_text_that_is_one_reference_takes_the_type_of_its_value() -> None:
    values = {"n": 5, "auto": True}
    found = substituted(
        {"n": "${params.n}", "names": ["x-${params.n}", "${params.auto}!"]}, lambda of: values[of.field]
    )
    assert found == {"n": 5, "names": ["x-5", "true!"]}
    assert [str(each) for each in references_in(["${a.b}-${c.d}"])] == ["${a.b}", "${c.d}"]


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("${a.b}", True, True),
        ("${a.b}", False, False),
        ("${a.b}==PROMOTE", "PROMOTE", True),
        ("${a.b} == 'true'", True, False),
        ("${a.b} == true", True, True),
        ("${a.b} == 1", True, False),
        ("${a.b} == 1", 1, True),
        ("${a.b} == 0.5", 0.5, True),
    ],
)
def test_conditions(text: str, value: Any, holds: bool) -> None:
    assert parse_condition(text).holds(value) is holds


def test_a_value_alone_must_be_true_or_false() -> None:
    with pytest.raises(SpecError, match="neither true nor false") as caught:
        parse_condition("${gate.verdict}").holds("HOLD")
    assert caught.value.hint == "compare it: when: ${gate.verdict} == HOLD"
