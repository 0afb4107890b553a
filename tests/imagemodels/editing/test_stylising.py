import numpy as np
import pytest
import torch

from imagemodels.classifier import Classifier
from imagemodels.data import load_dataset
from imagemodels.editing.stylising import Images, Recipe, Stylist
from imagemodels.errors import ConfigError, DataError
from imagemodels.evaluation.features import images_tensor
from imagemodels.networks.encoder import ConvEncoder
from imagemodels.networks.mlp import MlpEncoder
from imagemodels.networks.specs import ConvEncoderSpec, MlpEncoderSpec
from imagemodels.objectives import content_distance, gram_matrices, style_distance, total_variation
from imagemodels.pixels import to_float
from imagemodels.runtime import Runtime

RUNTIME = Runtime(threads=1)


def classifier(channels: int = 1) -> Classifier:
    torch.manual_seed(4)
    network = ConvEncoder(ConvEncoderSpec(image_size=8, channels=channels, outputs=3, width=4, feature_size=8))
    return Classifier(network, RUNTIME)


def recipe(**changes: float) -> Recipe:
    values = {"content_weight": 1.0, "style_weight": 100.0, "variation_weight": 0.0, "step_size": 0.1}
    return Recipe(**{**values, **changes}, iterations=8)


def digits(first: int, count: int) -> Images:
    images: Images = load_dataset("digits").images[first : first + count]
    return images


def test_each_weight_lowers_its_own_distance() -> None:
    contents, styles = digits(0, 4), digits(10, 4)
    judge = classifier()
    network = judge.network
    assert isinstance(network, ConvEncoder)
    wanted, aim = to_float(images_tensor(contents)), to_float(images_tensor(styles))

    @torch.no_grad()
    def distances(images: Images) -> dict[str, float]:
        pixels = to_float(images_tensor(images))
        maps, of_style = network.maps(pixels), network.maps(aim)
        style = sum(style_distance(own, gram_matrices(other)).sum() for own, other in zip(maps, of_style, strict=True))
        content = content_distance(maps[-1], network.maps(wanted)[-1]).sum()
        return {"content": float(content), "style": float(style), "variation": float(total_variation(pixels).sum())}

    plain = distances(Stylist(judge, recipe()).stylised(contents, styles))
    heavier = {
        name: distances(Stylist(judge, recipe(**{f"{name}_weight": weight})).stylised(contents, styles))
        for name, weight in (("content", 100.0), ("style", 10_000.0), ("variation", 1.0))
    }
    for name, found in heavier.items():
        assert found[name] < plain[name]
    assert plain["style"] < distances(contents)["style"]


def test_an_image_is_the_same_whatever_is_made_beside_it_and_as_often_as_it_is_made() -> None:
    contents, styles = digits(0, 35), digits(40, 35)
    whole = Stylist(classifier(), recipe()).stylised(contents, styles)
    assert whole.dtype == np.uint8
    assert np.array_equal(Stylist(classifier(), recipe()).stylised(contents[33:34], styles[33:34]), whole[33:34])
    assert not np.array_equal(whole, contents)


def test_content_alone_changes_nothing() -> None:
    contents = digits(0, 3)
    made = Stylist(classifier(), recipe(style_weight=0.0)).stylised(contents, digits(9, 3))
    assert np.array_equal(made, contents)


def test_weights_of_the_classifier_get_no_gradient_and_it_can_be_stopped_between_two_steps() -> None:
    judge, steps = classifier(), []

    def stop() -> None:
        steps.append(1)
        if len(steps) == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        Stylist(judge, recipe()).stylised(digits(0, 1), digits(1, 1), stop)
    assert all(weight.grad is None for weight in judge.network.parameters())
    assert len(steps) == 3


def test_images_of_another_shape_and_classifiers_without_maps_are_refused() -> None:
    with pytest.raises(DataError, match=r"takes uint8 images \(8, 8, 3\); found uint8 \(8, 8, 1\)"):
        Stylist(classifier(channels=3), recipe()).stylised(digits(0, 1), digits(1, 1))
    plain = MlpEncoder(MlpEncoderSpec(image_size=8, channels=1, outputs=3, width=4, depth=1))
    with pytest.raises(ConfigError, match="only a convolutional classifier"):
        Stylist(Classifier(plain, RUNTIME), recipe())
