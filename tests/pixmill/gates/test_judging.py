import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixmill.gates import judging
from pixmill.gates.intervals import Interval, interval
from pixmill.gates.judging import Judgement, Pair, judge
from pixmill.gates.limits import Limits
from pixmill.gates.measures import MEASURES
from tests.pixmill.gates.figures import HEALTHY, draw_case, sample
from tests.pixmill.gates.rules import broken_rules

MOST_CASES = 500  # until a broken variant is seen to be one
KID = {"kid": Limits(worse_by=0.005)}
GOOD = HEALTHY | {"kid": sample("kid", 0.011, 0.012, 0.013)}
OLD = HEALTHY | {"kid": sample("kid", 0.014, 0.015, 0.017)}


def told(judgement: Judgement) -> dict[str, str]:
    return {f"{row.gate}:{row.rule}": row.outcome for row in judgement.rows}


@given(st.integers(0, 2**32))
def test_every_rule_is_kept_whatever_the_figures(number: int) -> None:
    assert list(broken_rules(judge, *draw_case(number))) == []


def _swapped(gates: Any, primary: str, challenger: Any, champion: Any) -> Judgement:
    return judge(gates, primary, champion or challenger, champion and challenger)


def _patched(name: str, value: Any, owner: Any = judging) -> Callable[..., Judgement]:
    def broken(*case: Any) -> Judgement:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner, name, value)
            return judge(*case)

    return broken


def _one_way(better: Literal["lower", "higher"]) -> dict[str, Any]:
    return {name: replace(measure, better=better) for name, measure in MEASURES.items()}


BROKEN: dict[str, Callable[..., Judgement]] = {
    "the sides are swapped": _swapped,
    "no interval": _patched("interval", lambda values, **_: interval(values, is_exact=True)),
    "the interval is that of the normal distribution": _patched(
        "interval",
        lambda values, is_exact=False: replace(found := interval(values, is_exact=is_exact), half=found.half * 0.45),
    ),
    "the best seed stands for all": _patched(
        "interval", lambda values, is_exact=False: replace(interval(values, is_exact=is_exact), mean=min(values))
    ),
    "lower is better of everything": _patched(
        "measure_of", lambda name: replace(MEASURES.get(name, MEASURES["memory"]), better="lower")
    ),
    "higher is better of everything": _patched(
        "measure_of", lambda name: replace(MEASURES.get(name, MEASURES["memory"]), better="higher")
    ),
    "figures beyond real images count": _patched("_capped", lambda _measure, side: list(side.values)),
    "undecided is good enough": _patched(
        "verdict_of", lambda outcomes: "REJECT" if "failed" in outcomes else "PROMOTE"
    ),
    "what is not earned is promoted": _patched(
        "verdict_of",
        lambda outcomes: "REJECT" if "failed" in outcomes else "HOLD" if "undecided" in outcomes else "PROMOTE",
    ),
    "failures are held only": _patched(
        "verdict_of", lambda outcomes: "HOLD" if {"failed", "undecided", "not earned"} & set(outcomes) else "PROMOTE"
    ),
    "health is not asked for": _patched("HEALTH", {}),
    "no measure but the first is looked at": _patched("MEASURES", {"kid": MEASURES["kid"]}),
    "as good as real is not good enough": _patched("_reaches_real", lambda _measure, _side: False),
    "a share is a difference": _patched("_share", lambda difference, _base: difference),
    "a tolerance is doubled": _patched(
        "_regression_row", lambda pair, tolerance, row=judging._regression_row: row(pair, 2 * tolerance)
    ),
    "limits are not looked at": _patched(
        "_limit_row",
        lambda gate, rule, limit, challenger, row=judging._limit_row: replace(
            row(gate, rule, limit, challenger), outcome="passed"
        ),
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_variant_is_caught(fault: str) -> None:
    assert any(next(broken_rules(BROKEN[fault], *draw_case(number)), None) for number in range(MOST_CASES))


def test_a_better_model_is_promoted_and_each_gate_says_so_with_its_numbers() -> None:
    found = judge(KID, "kid", GOOD, OLD)
    numbers = "kid 0.012 ± 0.00248 against 0.0153 ± 0.00379: better by 0.00333 (95 %: 0.0019 to 0.00477)"
    assert (found.verdict, [row.text for row in found.rows]) == (
        "PROMOTE",
        [
            "bad_weights 0: at most 0 … passed",
            "bad_pixels 0: at most 0 … passed",
            f"{numbers}; not worse beyond 0.005 … passed",
            f"primary {numbers}; on average no worse … passed",
        ],
    )
    row = found.rows[2]
    assert (row.metric, row.limit) == ("kid@cnn-1a2b3c4d", 0.005)
    assert row.worse is not None
    assert row.worse.high == pytest.approx(-0.0019, abs=1e-5)


def test_a_model_that_is_a_little_worse_is_held_although_every_gate_passes() -> None:
    found = judge(KID, "kid", OLD | {"kid": sample("kid", 0.0141, 0.0151, 0.0171)}, OLD)
    assert found.verdict == "HOLD"
    assert told(found) | {"kid:regression": "passed", "kid:primary": "not earned"} == told(found)


def test_one_that_is_surely_worse_than_allowed_is_rejected() -> None:
    worse = HEALTHY | {"kid": sample("kid", 0.114, 0.115, 0.117)}
    assert told(judge(KID, "kid", worse, OLD))["kid:regression"] == "failed"
    assert judge(KID, "kid", worse, OLD).verdict == "REJECT"


def test_seeds_that_disagree_decide_nothing() -> None:
    wild = HEALTHY | {"kid": sample("kid", 0.001, 0.03, 0.012)}
    found = judge(KID, "kid", wild, OLD)
    assert (found.verdict, told(found)["kid:regression"]) == ("HOLD", "undecided")
    assert "it may be worse beyond 0.005, or not" in found.rows[2].text


def test_two_models_as_good_as_real_images_are_not_told_apart_by_chance() -> None:
    real = (0.0, 0.001, 0.0)
    sides = [
        HEALTHY | {"kid": sample("kid", *values, real=real)}
        for values in ((-0.001, 0.0, -0.002), (-0.005, -0.004, -0.004))
    ]
    found = judge({"kid": Limits(worse_by=0.0)}, "kid", *sides)
    assert found.verdict == "PROMOTE"
    assert "equal; not worse beyond 0 … passed" in found.rows[2].text
    almost = HEALTHY | {"kid": sample("kid", -0.003, 0.0015, 0.0001, real=real)}
    assert told(judge(KID, "kid", almost, sides[1]))["kid:primary"] == "passed"


def test_shares_are_of_the_champions_value() -> None:
    gates = KID | {"speed": Limits(worse_by_share=0.3), "memory": Limits(worse_by_share=0.5)}
    new = GOOD | {"speed": sample("speed", 800.0, 810.0, 790.0), "memory": sample("memory", 1_600_000.0)}
    old = OLD | {"speed": sample("speed", 1000.0, 1010.0, 990.0), "memory": sample("memory", 1_000_000.0)}
    found = judge(gates, "kid", new, old)
    texts = {row.gate: row.text for row in found.rows if row.rule == "regression"}
    assert texts["speed"].startswith("speed 800 ± 24.8 images/s against 1,000 ± 24.8 images/s: worse by 20 % (95 %: ")
    assert texts["speed"].endswith("not worse beyond 30 % … passed")
    assert texts["memory"] == (
        "memory 1,600,000 bytes against 1,000,000 bytes: worse by 60 %; worse beyond 50 % … failed"
    )


def test_a_share_of_nothing_is_undecided_unless_both_are_nothing() -> None:
    gates = KID | {"near_copies": Limits(worse_by_share=0.5)}
    none, some = sample("near_copies", 0.0, 0.0, 0.0), sample("near_copies", 0.0, 0.1, 0.0)
    for mine, outcome in ((none, "passed"), (some, "undecided")):
        found = judge(gates, "kid", GOOD | {"near_copies": mine}, OLD | {"near_copies": none})
        assert told(found)["near_copies:regression"] == outcome


def test_figures_that_are_no_numbers_pass_nothing() -> None:
    gates = {"kid": Limits(max=1.0, worse_by=1.0), "coverage": Limits(min=0.0)}
    nothing = HEALTHY | {"kid": sample("kid", math.nan, 0.0), "coverage": sample("coverage", math.inf, math.nan)}
    known = HEALTHY | {"kid": sample("kid", 0.0, 0.0), "coverage": sample("coverage", 0.5, 0.5)}
    found = judge(gates, "kid", nothing, known)
    assert found.verdict == "REJECT"
    assert told(found) | {"kid:max": "failed", "kid:regression": "failed", "coverage:min": "failed"} == told(found)
    assert told(found)["kid:primary"] == "undecided"
    found = judge(gates, "kid", known, nothing)
    assert (found.verdict, told(found)["kid:regression"]) == ("HOLD", "undecided")
    json.dumps([row.to_json() for row in found.rows], allow_nan=False)


def test_what_was_not_measured_decides_nothing() -> None:
    found = judge(KID | {"coverage": Limits(min=0.1)}, "kid", HEALTHY, OLD)
    assert (found.verdict, found.rows[-1].text) == ("HOLD", "primary kid was not measured … undecided")
    assert judge(KID, "kid", {}, None).verdict == "HOLD", "also whether a model is sound has to be known"
    assert "kid of the champion was not measured" in judge(KID, "kid", GOOD, HEALTHY).rows[2].text


def test_the_first_champion_is_judged_by_limits_alone() -> None:
    gates = {"kid": Limits(max=0.02, worse_by=0.005)}
    assert judge(gates, "kid", GOOD, None).verdict == "PROMOTE"
    assert judge(gates, "kid", HEALTHY | {"kid": sample("kid", 0.03, 0.03)}, None).verdict == "REJECT"


def test_one_seed_alone_decides_nothing_but_what_is_exact() -> None:
    sides = [HEALTHY | {"kid": sample("kid", value), "memory": sample("memory", 8.0)} for value in (0.01, 0.02)]
    gates = KID | {"memory": Limits(worse_by=0.0)}
    assert told(judge(gates, "kid", *sides)) | {"kid:regression": "undecided", "memory:regression": "passed"} == told(
        judge(gates, "kid", *sides)
    )


def test_a_limit_and_a_tolerance_that_are_just_met_pass() -> None:
    gates = {"kid": Limits(max=0.5, worse_by=0.25), "coverage": Limits(min=0.5)}
    mine = HEALTHY | {"kid": sample("kid", 0.5, 0.5), "coverage": sample("coverage", 0.5, 0.5)}
    found = told(judge(gates, "kid", mine, mine | {"kid": sample("kid", 0.25, 0.25)}))
    assert {outcome for gate, outcome in found.items() if gate != "kid:primary"} == {"passed"}


def test_the_class_is_named() -> None:
    gates = KID | {"class_share": Limits(min=0.25)}
    mine = GOOD | {"class_share": sample("class_share", 0.1, 0.2, 0.15, note="least: '8'")}
    found = judge(gates, "kid", mine, OLD)
    assert found.rows[3].text == "class_share (least: '8') 0.15 ± 0.124: at least 0.25 … failed"


def test_a_row_is_plain_json() -> None:
    row = judge(KID, "kid", GOOD, OLD).rows[2].to_json()
    assert json.loads(json.dumps(row)) == row
    assert row["challenger"]["mean"] == pytest.approx(0.012)
    assert Pair("kid", GOOD["kid"], GOOD["kid"]).worse == Interval(0.0, 0.0)
