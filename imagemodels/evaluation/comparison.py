"""Two evaluations side by side: which numbers may be compared, and what they say then. Free of torch."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import hypot
from typing import Literal, Protocol

from imagemodels.evaluation.report import Metric

Verdict = Literal["first", "second", "equal", "as real", "within chance"]
CHANCE = 2.0  # standard errors of a difference
SHOWN_DIGITS = 12  # of a fingerprint


class Measured(Protocol):
    """What is known of how a model was measured; an EvaluationReport is one."""

    @property
    def dataset(self) -> str:
        """The name of the real images."""

    @property
    def dataset_fingerprint(self) -> str:
        """What they are."""

    @property
    def measured_images(self) -> int:
        """Images, or sequences."""

    @property
    def feature_net(self) -> str | None:
        """The name of the network whose features were measured; None where there was none."""

    @property
    def feature_net_digest(self) -> str | None:
        """What that is."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The numbers."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know of them."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Figures that need no feature net: of predicted frames, of compressed images, of a classifier."""

    dataset: str
    dataset_fingerprint: str
    measured_images: int
    metrics: tuple[Metric, ...]
    feature_net: str | None = None
    feature_net_digest: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ComparedMetric:
    """One metric of two evaluations, under its name without what it was measured with.

    obstacle  why the two values must not be compared; None: they may
    verdict   which of the two is better, that both are at least what held-out real images are, or that chance alone
              may part them; None where they are not compared
    """

    name: str
    first: Metric | None
    second: Metric | None
    obstacle: str | None
    verdict: Verdict | None

    @property
    def sides(self) -> tuple[Metric | None, Metric | None]:
        """What was measured of the first and of the second."""
        return self.first, self.second


@dataclass(frozen=True)
class Comparison:
    """All metrics of two evaluations, in the order of the first."""

    metrics: tuple[ComparedMetric, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """One line for each reason not to compare, with the metrics that it concerns."""
        reasons: dict[str, list[str]] = {}
        for metric in self.metrics:
            if metric.obstacle is not None:
                reasons.setdefault(metric.obstacle, []).append(metric.name)
        everything = len(reasons) == 1 and len(next(iter(reasons.values()))) == len(self.metrics)
        return tuple(
            f"{'nothing' if everything else ', '.join(names)} {'is' if everything else 'not'} compared: {reason}"
            for reason, names in reasons.items()
        )


def compare(first: Measured, second: Measured) -> Comparison:
    """Compare what may be compared: measured against the same data, by the same feature net, on as many images."""
    return Comparison(tuple(_compared(first, second)))


def _compared(first: Measured, second: Measured) -> Iterator[ComparedMetric]:
    sides = [{_bare(metric): metric for metric in report.metrics} for report in (first, second)]
    for name in dict.fromkeys([*sides[0], *sides[1]]):
        mine, theirs = sides[0].get(name), sides[1].get(name)
        obstacle = _obstacle(first, second, mine, theirs)
        verdict = _verdict(mine, theirs) if obstacle is None and mine is not None and theirs is not None else None
        yield ComparedMetric(name, mine, theirs, obstacle, verdict)


def _bare(metric: Metric) -> str:
    """Its name; without the digits of the feature net, which would part what was measured by two of them."""
    quantity, _, instrument = metric.name.partition("@")
    return f"{quantity}@{instrument}" if "-" not in instrument else quantity


def _obstacle(first: Measured, second: Measured, mine: Metric | None, theirs: Metric | None) -> str | None:
    if first.dataset_fingerprint != second.dataset_fingerprint:
        prints = [report.dataset_fingerprint[:SHOWN_DIGITS] for report in (first, second)]
        return f"they were judged by different data, {first.dataset} ({prints[0]}) and {second.dataset} ({prints[1]})"
    if mine is None or theirs is None:
        return f"the {'first' if mine is None else 'second'} evaluation has not measured it"
    of_features = mine.name.endswith(f"@{first.feature_net}")
    if of_features and first.feature_net_digest != second.feature_net_digest:
        return f"they were measured by different feature nets, {first.feature_net} and {second.feature_net}"
    instruments = [metric.name.partition("@")[2] for metric in (mine, theirs)]
    if instruments[0] != instruments[1]:
        return f"they were measured by different networks, {' and '.join(instruments)}"
    if mine.n != theirs.n:
        return f"n is {mine.n:,} and {theirs.n:,}"
    if mine.reference_n != theirs.reference_n:
        return f"they were compared with {mine.reference_n:,} and {theirs.reference_n:,} real images"
    return None


def _verdict(mine: Metric, theirs: Metric) -> Verdict:
    if mine.value == theirs.value:
        return "equal"
    if _reaches_real(mine) and _reaches_real(theirs):
        return "as real"  # further from the training images than real ones are is no further merit
    errors = (mine.standard_error or 0.0, theirs.standard_error or 0.0)
    if abs(mine.value - theirs.value) <= CHANCE * hypot(*errors):
        return "within chance"
    return "first" if (mine.value < theirs.value) == (mine.better == "lower") else "second"


def _reaches_real(metric: Metric) -> bool:
    real = metric.control("held_out_real")
    return real is not None and (metric.value <= real if metric.better == "lower" else metric.value >= real)
