"""What a reader must know before trusting the numbers of a report."""

from collections.abc import Sequence

from imagemodels.evaluation.features import FeatureNet
from imagemodels.evaluation.report import ClassMeasure, Metric

FEW_IMAGES = 1000
FEW_HELD_OUT_IMAGES = 100
WEAK_FEATURE_ACCURACY_SHARE = 0.5  # of the way from chance to perfect
COPYING_Z = -5.0
COPYING_SHARE = 0.05  # of near copies, where held-out images have 0.01
REPEATING_SHARE = 0.05  # where training images have 0.01
DROPPED_SHARE = 0.25  # of the images that a class should have
LOST_ACCURACY_SHARE = 0.5  # of the accuracy that real images give


def find_cautions(
    metrics: Sequence[Metric],
    classes: tuple[ClassMeasure, ...],
    feature_net: FeatureNet,
    *,
    held_out_count: int,
) -> tuple[str, ...]:
    """Return the warnings that the numbers call for, most general first."""
    by_name = {metric.name.partition("@")[0]: metric for metric in metrics}
    return (
        *_sample_cautions(by_name["fd"], held_out_count),
        *_feature_cautions(feature_net, len(classes)),
        *_copying_cautions(by_name),
        *(text for measure in classes for text in _class_cautions(measure, classes)),
    )


def _sample_cautions(frechet: Metric, held_out_count: int) -> list[str]:
    texts = []
    if frechet.n < FEW_IMAGES:
        texts.append(
            f"only {frechet.n} images were measured: at this n a perfect generator would show "
            f"{frechet.name} of about {frechet.expected_bias:.3g}; rely on the kernel distance, or generate "
            f"{FEW_IMAGES} or more"
        )
    if held_out_count < FEW_HELD_OUT_IMAGES:
        texts.append(f"only {held_out_count} real images are held out: accuracies and controls are coarse")
    return texts


def _feature_cautions(feature_net: FeatureNet, num_classes: int) -> list[str]:
    if feature_net.kind == "rnd":
        return [f"{feature_net.name} has random weights, as the data has no classes: compare its numbers with care"]
    chance = 1.0 / max(1, num_classes)
    wanted = chance + WEAK_FEATURE_ACCURACY_SHARE * (1.0 - chance)
    if feature_net.accuracy is not None and feature_net.accuracy < wanted:
        return [
            f"{feature_net.name} classifies only {feature_net.accuracy:.0%} of held-out images: its features are weak"
        ]
    return []


def _copying_cautions(by_name: dict[str, Metric]) -> list[str]:
    exact, near, z = by_name["exact_copies"], by_name["near_copies"], by_name["memorisation_z"]
    texts = []
    if exact.value > 0:
        texts.append(f"{exact.value:.1%} of the generated images equal a training image pixel for pixel")
    if near.value > COPYING_SHARE and z.value < COPYING_Z:
        texts.append(
            f"the generator may copy: {near.value:.1%} of its images are closer to a training image than 99 % of "
            f"held-out images are (z = {z.value:.1f}); look at the nearest training images"
        )
    repeats = by_name["near_repeats"]
    if repeats.value > REPEATING_SHARE:
        texts.append(f"the generator repeats itself: {repeats.value:.1%} of its images are near another one")
    return texts


def _class_cautions(measure: ClassMeasure, classes: tuple[ClassMeasure, ...]) -> list[str]:
    texts = []
    missing = _dropped(measure, classes)
    if missing is not None:
        texts.append(missing)
    learnt, real = measure.synthetic_accuracy, measure.real_accuracy
    if learnt is not None and real is not None and learnt < LOST_ACCURACY_SHARE * real:
        texts.append(
            f"class {measure.name!r} cannot be learnt from the generated images: {learnt:.0%} of its real images are "
            f"recognised, {real:.0%} after training on real ones"
        )
    return texts


def _dropped(measure: ClassMeasure, classes: tuple[ClassMeasure, ...]) -> str | None:
    """Compare what the feature net recognises with the class's share of labels, or else of the training images."""
    if measure.recognised_images is None:
        return None
    total = sum(other.recognised_images or 0 for other in classes)
    training = sum(other.training_images for other in classes)
    expected = measure.generated_images
    if expected is None or expected == 0:
        expected = round(total * measure.training_images / max(1, training))
    if measure.recognised_images >= DROPPED_SHARE * expected:
        return None
    return f"class {measure.name!r} is missing: {measure.recognised_images} images show it, about {expected} should"
