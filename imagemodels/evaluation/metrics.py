"""From measurements to named metrics, each beside its controls."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from imagemodels.evaluation.distances import frechet_bias, frechet_distance, kernel_distance
from imagemodels.evaluation.manifold import ManifoldMeasure, manifold_measure
from imagemodels.evaluation.memorisation import MemorisationMeasure, mann_whitney_z
from imagemodels.evaluation.report import Better, Control, ControlName, Metric
from imagemodels.evaluation.usefulness import UsefulnessMeasure

Features = npt.NDArray[np.float32]

MANIFOLD_MEANINGS = {
    "precision": "share of generated images among real ones",
    "recall": "share of real images among generated ones",
    "density": "how densely real images surround generated ones; 1 is real",
    "coverage": "share of real images with a generated one close by",
}


@dataclass(frozen=True)
class FeatureSides:
    """Features (N, F) of the generated images and of all that they are compared with; copies are of training images."""

    generated: Features
    training: Features
    held_out: Features
    noise: Features
    copies: Features


def distance_metrics(sides: FeatureSides, net_name: str, seed: int) -> list[Metric]:
    """Return the Fréchet and the kernel distance from the training images."""
    kernel = kernel_distance(sides.generated, sides.training, seed=seed)
    frechet = Metric(
        name=f"fd@{net_name}",
        value=frechet_distance(sides.generated, sides.training),
        n=len(sides.generated),
        reference_n=len(sides.training),
        better="lower",
        meaning="Fréchet distance to the training images; grows when n falls, compare at equal n only",
        controls=_controls(sides, lambda features: frechet_distance(features, sides.training)),
        expected_bias=frechet_bias(sides.training, len(sides.generated), len(sides.training)),
    )
    unbiased = Metric(
        name=f"kid@{net_name}",
        value=kernel.value,
        n=len(sides.generated),
        reference_n=len(sides.training),
        better="lower",
        meaning="kernel distance to the training images; unbiased, near 0 is real",
        controls=_controls(sides, lambda features: kernel_distance(features, sides.training, seed=seed).value),
        standard_error=kernel.standard_error or None,
    )
    return [frechet, unbiased]


def manifold_metrics(sides: FeatureSides, net_name: str, seed: int) -> list[Metric]:
    """Return precision, recall, density and coverage, each from equal numbers of real and generated images."""
    generator = np.random.default_rng([seed, 3])
    measured, count = _equal_sides(sides.generated, sides.training, generator)
    named_sides: dict[ControlName, Features] = {
        "held_out_real": sides.held_out,
        "training_copies": sides.copies,
        "noise": sides.noise,
    }
    controls = {name: _equal_sides(features, sides.training, generator) for name, features in named_sides.items()}
    return [
        Metric(
            name=f"{field.name}@{net_name}",
            value=getattr(measured, field.name),
            n=count,
            reference_n=count,
            better="higher",
            meaning=MANIFOLD_MEANINGS[field.name],
            controls=tuple(Control(name, getattr(measure, field.name), n) for name, (measure, n) in controls.items()),
        )
        for field in fields(ManifoldMeasure)
    ]


def _equal_sides(features: Features, training: Features, generator: np.random.Generator) -> tuple[ManifoldMeasure, int]:
    count = min(len(features), len(training))
    drawn, reference = generator.permutation(features)[:count], generator.permutation(training)[:count]
    return manifold_measure(reference, drawn), count


def _controls(sides: FeatureSides, measure: Callable[[Features], float]) -> tuple[Control, ...]:
    return (
        Control("held_out_real", measure(sides.held_out), len(sides.held_out)),
        Control("training_copies", measure(sides.copies), len(sides.copies)),
        Control("noise", measure(sides.noise), len(sides.noise)),
    )


def memorisation_metrics(measure: MemorisationMeasure, training_count: int) -> list[Metric]:
    """Return what the pixels tell about copying and about repetition."""
    count = len(measure.nearest_distance)

    def metric(name: str, value: float, better: Better, meaning: str, *controls: Control) -> Metric:
        return Metric(f"{name}@pixels", value, count, training_count, better, meaning, controls)

    repeats = "share of generated images closer to another one than 99 % of as many training images are to each other"
    return [
        _memorisation_z(measure, training_count),
        metric(
            "exact_copies", measure.exact_copies / count, "lower",
            "share of generated images that equal a training image", Control("training_copies", 1.0, count),
        ),
        metric(
            "near_copies", measure.near_copies / count, "lower",
            "share of generated images closer to a training image than 99 % of held-out images are",
            _near_control(measure), Control("training_copies", 1.0, count),
        ),
        metric("repeats", measure.repeats / count, "lower", "share of generated images that equal an earlier one"),
        replace(
            metric("near_repeats", measure.near_repeats, "lower", repeats),
            n=measure.repeat_images,
            controls=(Control("real_training", measure.training_near_repeats, measure.repeat_images),),
        ),
    ]  # fmt: skip


def _memorisation_z(measure: MemorisationMeasure, training_count: int) -> Metric:
    count, yardstick = len(measure.nearest_distance), measure.held_out_distance
    return Metric(
        name="memorisation_z@pixels",
        value=measure.z,
        n=count,
        reference_n=training_count,
        better="higher",
        meaning="are generated images closer to the training set than new real images are? far below 0: copying",
        controls=(
            Control("held_out_real", 0.0, len(yardstick)),
            Control("training_copies", mann_whitney_z(np.zeros(count), yardstick), count),
        ),
    )


def _near_control(measure: MemorisationMeasure) -> Control:
    yardstick = measure.held_out_distance
    return Control("held_out_real", float((yardstick < measure.near_distance).mean()), len(yardstick))


def usefulness_metrics(measures: tuple[UsefulnessMeasure, ...]) -> list[Metric]:
    """Return the accuracy on real images of each judge that learnt from synthetic ones."""
    return [_usefulness_metric(measure) for measure in measures]


def _usefulness_metric(measure: UsefulnessMeasure) -> Metric:
    tested, value = int(measure.synthetic_confusion.sum()), measure.synthetic_accuracy
    return Metric(
        name=f"usefulness@{measure.judge}",
        value=value,
        n=measure.n,
        reference_n=tested,
        better="higher",
        meaning="accuracy on real held-out images after training on generated images alone",
        controls=(Control("real_training", measure.real_accuracy, measure.n),),
        standard_error=float(np.sqrt(value * (1.0 - value) / tested)),
    )
