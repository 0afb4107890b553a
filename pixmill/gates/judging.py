"""From figures to a verdict: pure, and the same for the same figures.

REJECT   a gate failed: a limit is missed, the model is broken, or it is surely worse than the champion allows
HOLD     nothing failed, but a gate is undecided by its interval, or the primary measure is not earned
PROMOTE  every gate passed, and the primary measure is earned: on average it is no worse than the champion's, or it is
         as good as held-out real images
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pixmill.gates.intervals import Interval, interval
from pixmill.gates.limits import Limits
from pixmill.gates.measures import HEALTH, MEASURES, Measure, measure_of
from pixmill.gates.wording import figure_text, worse_text

Verdict = Literal["PROMOTE", "HOLD", "REJECT"]
Rule = Literal["health", "min", "max", "regression", "primary"]
Outcome = Literal["passed", "failed", "undecided", "not earned", "skipped"]


@dataclass(frozen=True)
class Sample:
    """What was measured of one model: a value for each seed, and of the same seeds what real images reach."""

    name: str  # with what it was measured with: kid@cnn-1a2b3c4d
    values: tuple[float, ...]
    real: tuple[float, ...] | None = None
    note: str = ""  # such as which class it is


Samples = Mapping[str, Sample]


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one gate says. `worse` is by how much the challenger is worse than the champion: below 0, better."""

    gate: str
    rule: Rule
    outcome: Outcome
    text: str
    limit: float | None = None
    metric: str | None = None
    challenger: Interval | None = None
    champion: Interval | None = None
    worse: Interval | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; None for what is no finite number."""
        return {key: _plain(value) for key, value in asdict(self).items()}


@dataclass(frozen=True)
class Judgement:
    """A verdict and the rows that it follows from."""

    verdict: Verdict
    rows: tuple[Row, ...]


def judge(gates: Mapping[str, Limits], primary: str, challenger: Samples, champion: Samples | None) -> Judgement:
    """Judge a challenger; without a champion what would be compared is skipped, and the limits alone decide.

    What was not measured leaves its gates undecided; a figure that is no number fails them.
    """
    rows = [_limit_row(name, "health", 0.0, challenger.get(name)) for name in HEALTH]
    for name in (name for name in MEASURES if name in gates):
        theirs = None if champion is None else champion.get(name)
        rows += _rows(name, gates[name], challenger.get(name), theirs, has_champion=champion is not None)
    rows.append(_primary_row(primary, challenger.get(primary), champion))
    return Judgement(verdict_of([row.outcome for row in rows]), tuple(rows))


def verdict_of(outcomes: Sequence[Outcome]) -> Verdict:
    """What the rows add up to.

    >>> verdict_of(["passed", "skipped"]), verdict_of(["passed", "undecided"]), verdict_of(["undecided", "failed"])
    ('PROMOTE', 'HOLD', 'REJECT')
    """
    if "failed" in outcomes:
        return "REJECT"
    return "HOLD" if {"undecided", "not earned"} & set(outcomes) else "PROMOTE"


@dataclass(frozen=True)
class Pair:
    """Both sides of one measure; is_share: compared in shares of the champion's value."""

    gate: str
    challenger: Sample
    champion: Sample
    is_share: bool = False

    @property
    def measure(self) -> Measure:
        """What is compared."""
        return measure_of(self.gate)

    @property
    def worse(self) -> Interval:
        """By how much the challenger is worse, seed by seed.

        Values beyond what real images reach count as that: further away from the training images is no merit.
        """
        mine, theirs = (_capped(self.measure, side) for side in (self.challenger, self.champion))
        sign = 1.0 if self.measure.better == "lower" else -1.0
        differences = [sign * (a - b) for a, b in zip(mine, theirs, strict=True)]
        if self.is_share:
            differences = [_share(*pair) for pair in zip(differences, theirs, strict=True)]
        return interval(differences, is_exact=self.measure.is_exact)

    def row(self, rule: Rule, outcome: Outcome, words: str, limit: float | None = None) -> "Row":
        """What a gate says of it, with the numbers of both."""
        mine, theirs = (
            interval(side.values, is_exact=self.measure.is_exact) for side in (self.challenger, self.champion)
        )
        shown = figure_text(self.gate, self.challenger.note, mine, self.measure)
        against = figure_text("", self.champion.note, theirs, self.measure)
        worse = self.worse
        told = worse_text(worse, is_share=self.is_share)
        return Row(
            gate=self.gate,
            rule=rule,
            outcome=outcome,
            limit=limit,
            metric=self.challenger.name,
            challenger=mine,
            champion=theirs,
            worse=worse,
            text=f"{_head(rule)}{shown} against {against}: {told}; {words} … {outcome}",
        )


def _share(difference: float, base: float) -> float:
    if base:
        return difference / abs(base)
    return math.copysign(math.inf, difference) if difference else 0.0


def _capped(measure: Measure, side: Sample) -> list[float]:
    if side.real is None:
        return list(side.values)
    best = max if measure.better == "lower" else min
    return [best(value, real) for value, real in zip(side.values, side.real, strict=True)]


def _rows(
    gate: str, limits: Limits, challenger: Sample | None, champion: Sample | None, *, has_champion: bool
) -> Iterator[Row]:
    asked: tuple[tuple[Rule, float | None], ...] = (("min", limits.min), ("max", limits.max))
    for rule, limit in asked:
        if limit is not None:
            yield _limit_row(gate, rule, limit, challenger)
    tolerance = limits.tolerance
    if tolerance is None:
        return
    if not has_champion:
        text = f"{gate}: there is no champion to compare with … skipped"
        yield Row(gate=gate, rule="regression", outcome="skipped", limit=tolerance, text=text)
    elif challenger is None or champion is None:
        yield _unmeasured(gate, "regression", challenger, tolerance)
    else:
        yield _regression_row(Pair(gate, challenger, champion, limits.worse_by is None), tolerance)


def _limit_row(gate: str, rule: Rule, limit: float, challenger: Sample | None) -> Row:
    """Whether the mean keeps to the limit: at least it for `min`, else at most."""
    if challenger is None:
        return _unmeasured(gate, rule, challenger, limit)
    measure = measure_of(gate)
    found = interval(challenger.values, is_exact=measure.is_exact)
    keeps = found.mean >= limit if rule == "min" else found.mean <= limit  # a NaN keeps to none
    outcome: Outcome = "passed" if keeps else "failed"
    side = "at least" if rule == "min" else "at most"
    return Row(
        gate=gate,
        rule=rule,
        outcome=outcome,
        limit=limit,
        metric=challenger.name,
        challenger=found,
        text=f"{figure_text(gate, challenger.note, found, measure)}: {side} {limit:.4g} … {outcome}",
    )


def _regression_row(pair: Pair, tolerance: float) -> Row:
    """Whether the challenger is surely no worse than the tolerance allows (passed), or surely worse (failed)."""
    beyond = f"{tolerance * 100:.4g} %" if pair.is_share else f"{tolerance:.4g}"
    worse = pair.worse
    if not all(map(math.isfinite, pair.challenger.values)):
        return pair.row("regression", "failed", "it is no number", tolerance)
    if worse.high <= tolerance:
        return pair.row("regression", "passed", f"not worse beyond {beyond}", tolerance)
    if worse.low > tolerance:
        return pair.row("regression", "failed", f"worse beyond {beyond}", tolerance)
    return pair.row("regression", "undecided", f"it may be worse beyond {beyond}, or not", tolerance)


def _primary_row(gate: str, challenger: Sample | None, champion: Samples | None) -> Row:
    """Whether the challenger has earned the place: on average no worse, or as good as real images."""
    if champion is None:
        text = f"primary {gate}: there is no champion to beat … skipped"
        return Row(gate=gate, rule="primary", outcome="skipped", text=text)
    theirs = champion.get(gate)
    if challenger is None or theirs is None:
        return _unmeasured(gate, "primary", challenger)
    pair = Pair(gate, challenger, theirs)
    if math.isnan(pair.worse.mean):
        return pair.row("primary", "undecided", "there is no number")
    if pair.worse.mean <= 0:
        return pair.row("primary", "passed", "on average no worse")
    if _reaches_real(pair.measure, challenger):
        return pair.row("primary", "passed", "as good as real images")
    return pair.row("primary", "not earned", "on average worse")


def _reaches_real(measure: Measure, side: Sample) -> bool:
    if side.real is None:
        return False
    mean, real = interval(side.values).mean, interval(side.real).mean
    return mean <= real if measure.better == "lower" else mean >= real


def _unmeasured(gate: str, rule: Rule, challenger: Sample | None, limit: float | None = None) -> Row:
    of_whom = "" if challenger is None else " of the champion"
    text = f"{_head(rule)}{gate}{of_whom} was not measured … undecided"
    return Row(gate=gate, rule=rule, outcome="undecided", limit=limit, text=text)


def _head(rule: Rule) -> str:
    return "primary " if rule == "primary" else ""


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
