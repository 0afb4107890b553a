from dataclasses import replace

import pytest

from imagemodels.evaluation.report import ClassMeasure, Control, EvaluationReport, Metric
from imagemodels.evaluation.seeds import least_agreed, least_shown, mean_metrics

METRIC = Metric("kid@cnn-1", 0.2, 40, 50, "lower", "distance", (Control("noise", 8.0, 40),), standard_error=0.5)
REPORT = EvaluationReport(
    dataset="digits",
    dataset_fingerprint="f" * 64,
    feature_net="cnn-1",
    feature_net_digest="1" * 64,
    image_size=8,
    channels=1,
    generated_images=40,
    measured_images=40,
    seed=0,
    metrics=(METRIC,),
)


def with_value(value: float, noise: float) -> EvaluationReport:
    return replace(REPORT, metrics=(replace(METRIC, value=value, controls=(Control("noise", noise, 40),)),))


def test_metrics_are_means_with_the_standard_error_over_the_seeds() -> None:
    (metric,) = mean_metrics([with_value(0.2, 8.0), with_value(0.4, 9.0), with_value(0.6, 10.0)])
    assert [metric.value, metric.standard_error] == pytest.approx([0.4, 0.2 / 3**0.5])
    assert (metric.controls, metric.n) == ((Control("noise", 9.0, 40),), 40)


def test_one_seed_keeps_its_own_error_and_equal_ones_have_none() -> None:
    assert mean_metrics([REPORT]) == REPORT.metrics
    (metric,) = mean_metrics([REPORT, REPORT])
    assert metric.standard_error is None


def test_the_least_class_is_named_where_it_is_known() -> None:
    classes = (
        ClassMeasure("cat", 9, generated_images=20, recognised_images=18, agreement=0.5),
        ClassMeasure("dog", 9, generated_images=20, recognised_images=5, agreement=0.8),
        ClassMeasure("cow", 9, generated_images=0, recognised_images=0),
    )
    assert (least_shown(classes), least_agreed(classes)) == (("dog", 0.25), ("cat", 0.5))
    unknown = (ClassMeasure("cat", 9),)
    assert (least_shown(unknown), least_agreed(unknown), least_shown(())) == (None, None, None)
