"""The rules of a verdict, said once more in another way: what any judge has to keep to, whatever the figures."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from scipy import stats

from pixmill.gates.judging import Judgement, Sample
from pixmill.gates.limits import Limits
from pixmill.gates.measures import HEALTH, MEASURES

Judge = Callable[..., Judgement]
Sides = Mapping[str, Sample]
FUZZ = 1e-9  # figures nearer to a border than this may fall on either side


def broken_rules(
    judge: Judge, gates: Mapping[str, Limits], primary: str, challenger: Sides, champion: Sides | None
) -> Iterator[str]:
    """What a judge gets wrong; figures are finite, and all that gates ask for is there."""
    found = judge(gates, primary, challenger, champion)
    outcomes: dict[tuple[str, str], str] = {(row.gate, row.rule): row.outcome for row in found.rows}
    expected = _expected(gates, primary, challenger, champion)
    for key, allowed in expected.items():
        if outcomes.get(key, "missing") not in allowed:
            yield f"{key} is {outcomes.get(key)}, and should be {' or '.join(sorted(allowed))}"
    for key in outcomes.keys() - expected.keys():
        yield f"{key} was not asked for"
    told = set(outcomes.values())
    verdict = "REJECT" if "failed" in told else "PROMOTE" if told <= {"passed", "skipped"} else "HOLD"
    if found.verdict != verdict:
        yield f"the verdict is {found.verdict}, and should be {verdict}"


def _expected(
    gates: Mapping[str, Limits], primary: str, challenger: Sides, champion: Sides | None
) -> dict[tuple[str, str], set[str]]:
    expected = {(name, "health"): _kept(0.0 - mean(challenger[name].values)) for name in HEALTH}
    for name, limits in gates.items():
        value = mean(challenger[name].values)
        if limits.min is not None:
            expected[name, "min"] = _kept(value - limits.min)
        if limits.max is not None:
            expected[name, "max"] = _kept(limits.max - value)
        if limits.worse_by is None and limits.worse_by_share is None:
            continue
        if champion is None:
            expected[name, "regression"] = {"skipped"}
            continue
        is_share = limits.worse_by is None
        low, high = _ends(name, losses(name, challenger[name], champion[name], is_share=is_share))
        limit = limits.worse_by_share if limits.worse_by is None else limits.worse_by
        assert limit is not None
        expected[name, "regression"] = {
            outcome
            for outcome, room in (
                ("passed", limit - high),
                ("failed", low - limit),
                ("undecided", min(high - limit, limit - low)),
            )
            if room >= -FUZZ
        }
    expected[primary, "primary"] = {"skipped"} if champion is None else _earned(primary, challenger, champion)
    return expected


def _earned(name: str, challenger: Sides, champion: Sides) -> set[str]:
    loss = mean(losses(name, challenger[name], champion[name], is_share=False))
    sample = challenger[name]
    to_real = math.inf
    if sample.real is not None:
        to_real = _sign(name) * (mean(sample.values) - mean(sample.real))
    room = -min(loss, to_real)
    return {outcome for outcome, way in (("passed", room), ("not earned", -room)) if way >= -FUZZ}


def losses(name: str, challenger: Sample, champion: Sample, *, is_share: bool) -> list[float]:
    """What the challenger loses by, seed by seed."""
    sign = _sign(name)
    found = []
    for number, (mine, theirs) in enumerate(zip(challenger.values, champion.values, strict=True)):
        if challenger.real is not None and champion.real is not None:
            real = sign * challenger.real[number]
            loss = max(sign * mine, real) - max(sign * theirs, real)
            base = max(sign * theirs, real)
        else:
            loss, base = sign * (mine - theirs), theirs
        found.append(loss / abs(base) if is_share else loss)
    return found


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _ends(name: str, values: Sequence[float]) -> tuple[float, float]:
    middle = mean(values)
    if MEASURES[name].is_exact:
        return middle, middle
    if max(values) - min(values) < 1e-300:
        return middle, middle
    low, high = stats.t.interval(0.95, len(values) - 1, loc=middle, scale=stats.sem(values))
    return float(low), float(high)


def _kept(room: float) -> set[str]:
    """Whether there is room between a figure and its limit."""
    return {outcome for outcome, way in (("passed", room), ("failed", -room)) if way >= -FUZZ}


def _sign(name: str) -> float:
    return 1.0 if MEASURES[name].better == "lower" else -1.0
