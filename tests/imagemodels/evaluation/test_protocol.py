import numpy as np
import pytest

from imagemodels.errors import DataError
from imagemodels.evaluation import EvaluationReport, evaluate
from tests.imagemodels.evaluation.conftest import Study


def _control(report: EvaluationReport, metric: str, name: str) -> float:
    value = report.metric(metric).control(name)
    assert value is not None
    return value


def test_a_perfect_generator_looks_like_held_out_images(perfect: EvaluationReport) -> None:
    assert perfect.metric("fd").value < 2 * _control(perfect, "fd", "held_out_real") + 0.1
    assert abs(perfect.metric("kid").value) < 0.1 * _control(perfect, "kid", "noise")
    assert perfect.metric("coverage").value > 0.9
    assert abs(perfect.metric("memorisation_z").value) < 4.0
    assert perfect.metric("agreement").value > 0.9


def test_a_perfect_generator_is_as_useful_as_real_images(perfect: EvaluationReport) -> None:
    for judge in ("cnn", "forest"):
        metric = perfect.metric(f"usefulness@{judge}")
        assert metric.value > 0.85
        assert metric.value == pytest.approx(_control(perfect, metric.name, "real_training"), abs=0.08)


def test_the_controls_stand_in_their_order(perfect: EvaluationReport) -> None:
    for name in ("fd", "kid"):
        assert _control(perfect, name, "held_out_real") < 0.2 * _control(perfect, name, "noise")
        assert _control(perfect, name, "training_copies") < _control(perfect, name, "noise")
    for name in ("precision", "recall", "density", "coverage"):
        assert _control(perfect, name, "noise") < 0.3 < 0.6 < _control(perfect, name, "held_out_real")


def test_every_number_says_what_it_was_measured_with_and_on_how_many(perfect: EvaluationReport, study: Study) -> None:
    instruments = {study.net.name, "pixels", "cnn", "forest"}
    for metric in perfect.metrics:
        assert metric.name.partition("@")[2] in instruments
        assert metric.n > 0
        assert metric.reference_n > 0
        assert all(control.n > 0 for control in metric.controls)
        assert "fid" not in metric.name.lower()


def test_noise_is_told_from_digits(study: Study) -> None:
    noise = np.random.default_rng(9).integers(0, 256, (400, 12, 12, 1), dtype=np.uint8)
    report = study.evaluate(noise)
    assert report.metric("kid").value == pytest.approx(_control(report, "kid", "noise"), rel=0.2)
    assert report.metric("coverage").value < 0.2


def test_copies_of_the_training_images_are_flagged(study: Study) -> None:
    report = study.evaluate(study.dataset.images[study.dataset.train_indices[:400]])
    assert report.metric("exact_copies").value == 1.0
    assert report.metric("memorisation_z").value == pytest.approx(
        _control(report, "memorisation_z", "training_copies"), rel=0.05
    )
    assert any("equal a training image pixel for pixel" in warning for warning in report.warnings)
    assert any("may copy" in warning for warning in report.warnings)
    nearest = report.neighbours[0]
    assert nearest.dataset_index == study.dataset.train_indices[nearest.generated_index]
    assert nearest.distance == pytest.approx(0.0, abs=1e-6)


def test_a_dropped_class_lowers_coverage_and_is_named(study: Study, perfect: EvaluationReport) -> None:
    kept = study.fresh_labels != 4
    report = study.evaluate(study.fresh_images[kept], study.fresh_labels[kept], usefulness=True)
    assert report.metric("coverage").value < perfect.metric("coverage").value - 0.05
    assert report.classes[4].synthetic_accuracy == 0.0
    assert report.classes[4].generated_images == 0
    assert min(measure.synthetic_accuracy or 0.0 for measure in report.classes if measure.name != "4") > 0.5
    assert any("class '4' is missing" in warning for warning in report.warnings)
    assert any("class '4' cannot be learnt" in warning for warning in report.warnings)
    assert sum(row[4] for row in report.confusion) == 0


def test_wrong_labels_are_found_by_agreement_and_usefulness(study: Study, perfect: EvaluationReport) -> None:
    report = study.evaluate(study.fresh_images, (study.fresh_labels + 1) % 10)
    assert report.metric("agreement").value < 0.1 < 0.9 < perfect.metric("agreement").value


def test_images_without_labels_are_measured_all_the_same(study: Study) -> None:
    report = study.evaluate(study.fresh_images)
    assert [metric.name for metric in report.metrics if "usefulness" in metric.name or "agreement" in metric.name] == []
    assert sum(measure.recognised_images or 0 for measure in report.classes) == len(study.fresh_images)
    assert report.classes[0].generated_images is None


def test_equal_inputs_give_equal_reports_and_other_seeds_other_ones(study: Study) -> None:
    first, second = study.evaluate(study.fresh_images), study.evaluate(study.fresh_images)
    assert first.to_json() == second.to_json()
    other = evaluate(study.dataset, study.fresh_images, feature_net=study.net, runtime=study.runtime, seed=4)
    assert other.to_json() != first.to_json()


def test_progress_runs_through_the_phases_and_may_end_them(study: Study) -> None:
    phases: list[str] = []
    evaluate(
        study.dataset,
        study.fresh_images[:50],
        feature_net=study.net,
        runtime=study.runtime,
        progress=lambda phase, _: phases.append(phase),
    )
    assert list(dict.fromkeys(phases)) == ["features", "distances", "coverage", "memorisation", "done"]

    def stop(phase: str, share: float) -> None:
        raise InterruptedError(phase)

    with pytest.raises(InterruptedError, match="features"):
        evaluate(study.dataset, study.fresh_images, feature_net=study.net, runtime=study.runtime, progress=stop)


def test_few_images_come_with_a_warning(study: Study) -> None:
    report = study.evaluate(study.fresh_images[:50])
    assert any("only 50 images were measured" in warning for warning in report.warnings)


@pytest.mark.parametrize(
    ("count", "labels", "reason"),
    [
        (5, None, "at least 10 generated images; found 5"),
        (20, np.zeros(19, dtype=np.int64), r"labels must be int64 \(20,\)"),
        (20, np.full(20, 10, dtype=np.int64), "labels run from 10 to 10"),
        (20, np.zeros(20), "labels must be int64"),
    ],
)
def test_unfit_images_and_labels_are_refused(study: Study, count: int, labels: np.ndarray | None, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        study.evaluate(study.fresh_images[:count], labels)


def test_images_of_another_size_are_refused(study: Study) -> None:
    with pytest.raises(DataError, match=r"must be uint8 \(N, 12, 12, 1\); found uint8 \(20, 8, 8, 1\)"):
        study.evaluate(np.zeros((20, 8, 8, 1), dtype=np.uint8))
