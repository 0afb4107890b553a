from dataclasses import replace
from typing import Any

import pytest

from imagemodels.evaluation.comparison import compare
from imagemodels.evaluation.report import Better, Control, EvaluationReport, Metric


def metric(name: str, value: float, better: Better = "lower", **others: Any) -> Metric:
    fields: dict[str, Any] = {"n": 500, "reference_n": 900, "meaning": "", **others}
    return Metric(name=name, value=value, better=better, **fields)


def report(*metrics: Metric, **others: Any) -> EvaluationReport:
    fields: dict[str, Any] = {
        "dataset": "digits",
        "dataset_fingerprint": "f" * 64,
        "feature_net": "cnn-11111111",
        "feature_net_digest": "1" * 64,
        "image_size": 8,
        "channels": 1,
        "generated_images": 500,
        "measured_images": 500,
        "seed": 0,
        **others,
    }
    return EvaluationReport(metrics=metrics, **fields)


@pytest.mark.parametrize(
    ("better", "values", "verdict"),
    [
        ("lower", (1.0, 2.0), "first"),
        ("lower", (2.0, 1.0), "second"),
        ("higher", (1.0, 2.0), "second"),
        ("higher", (2.0, 1.0), "first"),
        ("higher", (1.0, 1.0), "equal"),
    ],
)
def test_the_better_value_is_named(better: Better, values: tuple[float, float], verdict: str) -> None:
    first, second = (report(metric("fd@cnn-11111111", value, better)) for value in values)
    (found,) = compare(first, second).metrics
    assert (found.name, found.obstacle, found.verdict) == ("fd", None, verdict)
    assert compare(first, second).notes == ()


def test_a_difference_of_two_standard_errors_may_be_chance() -> None:
    def verdict(gap: float) -> str | None:
        sides = [report(metric("agreement@pixels", value, standard_error=0.05)) for value in (0.5, 0.5 + gap)]
        return compare(*sides).metrics[0].verdict

    # The error of the difference is √(0.05² + 0.05²) = 0.0707.
    assert verdict(0.14) == "within chance"
    assert verdict(0.15) == "first"


def test_numbers_of_other_data_are_never_compared() -> None:
    ours = report(metric("fd@cnn-11111111", 1.0), metric("repeats@pixels", 0.1))
    theirs = replace(ours, dataset="mnist", dataset_fingerprint="e" * 64)
    found = compare(ours, theirs)
    assert [one.verdict for one in found.metrics] == [None, None]
    assert found.notes == (
        "nothing is compared: they were judged by different data, digits (ffffffffffff) and mnist (eeeeeeeeeeee)",
    )


def test_another_feature_net_parts_what_it_measured_and_nothing_else() -> None:
    ours = report(metric("fd@cnn-11111111", 1.0), metric("usefulness@cnn", 0.9, "higher"))
    theirs = report(
        metric("fd@cnn-22222222", 2.0),
        metric("usefulness@cnn", 0.8, "higher"),
        feature_net="cnn-22222222",
        feature_net_digest="2" * 64,
    )
    found = compare(ours, theirs)
    assert [(one.name, one.verdict) for one in found.metrics] == [("fd", None), ("usefulness@cnn", "first")]
    assert found.notes == (
        "fd not compared: they were measured by different feature nets, cnn-11111111 and cnn-22222222",
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"n": 2000}, "n is 500 and 2,000"), ({"reference_n": 7}, "they were compared with 900 and 7 real images")],
)
def test_other_numbers_of_images_are_not_compared(changes: dict[str, Any], reason: str) -> None:
    same = metric("kid@cnn-11111111", 0.5)
    found = compare(
        report(metric("fd@cnn-11111111", 1.0), same), report(replace(metric("fd@cnn-11111111", 1.0), **changes), same)
    )
    assert found.notes == (f"fd not compared: {reason}",)
    assert found.metrics[1].verdict == "equal"


def test_what_one_of_them_has_not_measured_is_said() -> None:
    found = compare(report(metric("a@pixels", 1.0)), report(metric("a@pixels", 1.0), metric("b@pixels", 1.0)))
    assert found.metrics[1].first is None
    assert found.notes == ("b@pixels not compared: the first evaluation has not measured it",)


def test_inception_distances_by_other_weights_are_not_compared() -> None:
    sides = [report(metric(f"fid-clean@inception-{digits}", 1.0)) for digits in ("6726825", "0123456")]
    (found,) = compare(*sides).metrics
    assert (found.name, found.verdict) == ("fid-clean", None)
    assert found.obstacle == "they were measured by different networks, inception-6726825 and inception-0123456"


@pytest.mark.parametrize(
    ("better", "values", "verdict"),
    [
        ("higher", (9.0, 6.0), "as real"),
        ("higher", (9.0, -6.0), "first"),
        ("higher", (-9.0, -6.0), "second"),
        ("lower", (-1.0, -2.0), "as real"),
        ("lower", (-1.0, 2.0), "first"),
    ],
)
def test_of_two_that_are_as_real_images_neither_is_better(
    better: Better, values: tuple[float, float], verdict: str
) -> None:
    real = (Control("held_out_real", 0.0, 9),)
    sides = [report(metric("near_copies@pixels", value, better, controls=real)) for value in values]
    assert [row.verdict for row in compare(*sides).metrics] == [verdict]
