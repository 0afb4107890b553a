import math

import pytest

from imagemodels.errors import ConfigError, UnknownPreset
from imagemodels.options import AdversarialOptions
from imagemodels.presets import PRESETS, check_shape, resolve


def test_every_preset_says_what_it_is_and_where_it_is_from() -> None:
    names = "vae dcgan sngan lsgan wgan-gp r3gan beta-vae mlp-vae mlp-gan vae-gan forest convlstm predrnn cnn fsq-ae"
    assert list(PRESETS) == [*names.split(), "conv-ae", "pix2pix"]
    assert all(preset.summary and preset.paper for preset in PRESETS.values())


def test_a_preset_makes_images_predicts_frames_restores_or_is_a_classifier_or_a_codec() -> None:
    traits = {name: preset.traits for name, preset in PRESETS.items()}
    others = {name for name, its in traits.items() if not (its.makes_images or its.predicts_frames)}
    assert others == {"cnn", "fsq-ae", "conv-ae", "pix2pix"}
    assert {name for name, its in traits.items() if its.restores_images} == {"conv-ae", "pix2pix"}
    assert {name for name, its in traits.items() if its.predicts_frames} == {"convlstm", "predrnn"}
    assert PRESETS["forest"].traits.makes_images


def test_options_are_replaced_and_the_preset_itself_stays() -> None:
    options = resolve("sngan", {"width": 8, "learning_rate": 1, "adversarial": "ns"}).options
    assert isinstance(options, AdversarialOptions)
    assert (options.width, options.learning_rate, options.adversarial) == (8, 1.0, "ns")
    assert isinstance(options.learning_rate, float)
    assert PRESETS["sngan"].options != options


def test_an_unknown_preset_gets_a_hint() -> None:
    with pytest.raises(UnknownPreset, match=r"'sgan' does not exist \(did you mean 'sngan'\?\); choose one of vae, "):
        resolve("sgan")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"widht": 8}, r"no option 'widht' \(did you mean 'width'\?\)"),
        ({"width": 0}, "'width' lies between 1 and 4096, got 0"),
        ({"width": 8.5}, "'width' is a whole number, got 8.5"),
        ({"width": True}, "'width' is a whole number, got True"),
        ({"width": "8"}, "'width' is a whole number, got '8'"),
        ({"learning_rate": math.nan}, "'learning_rate' lies between"),
        ({"learning_rate": None}, "'learning_rate' is a number, got None"),
        ({"residual": 1}, "'residual' is true or false, got 1"),
        ({"adversarial": "hing"}, r"one of ns, ls, hinge, wgan, rp; got 'hing' \(did you mean 'hinge'\?\)"),
        ({"adversarial": ["ns"]}, "one of ns, ls, hinge, wgan, rp; got"),
    ],
)
def test_a_wrong_option_is_named_with_what_would_be_right(overrides: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve("sngan", overrides)


@pytest.mark.parametrize(
    ("preset", "overrides", "message"),
    [
        ("mlp-gan", {"residual": True}, "'residual' means nothing to backbone 'mlp'; leave it out"),
        ("vae", {"backbone": "mlp", "upsample": "nearest"}, "'upsample' means nothing to backbone 'mlp'"),
        ("sngan", {"depth": 3}, "'depth' means nothing to backbone 'conv'"),
        ("mlp-vae", {"backbone": "conv", "depth": 3}, "'depth' means nothing to backbone 'conv'"),
        ("cnn", {"optimizer": "sgd", "beta2": 0.9}, "'beta2' means nothing to optimizer 'sgd'"),
        ("vae", {"momentum": 0.9}, "'momentum' means nothing to optimizer 'adam'"),
        ("conv-ae", {"degradation": "blur", "noise_sigma": 0.1}, "'noise_sigma' means nothing to degradation 'blur'"),
        ("pix2pix", {"degradation": "given", "jpeg_quality": 9}, "'jpeg_quality' means nothing to degradation 'given'"),
    ],
)
def test_an_option_of_another_backbone_or_optimizer_is_refused(
    preset: str, overrides: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve(preset, overrides)


@pytest.mark.parametrize(
    ("image_size", "channels", "num_classes"), [(8, 1, 0), (28, 3, 10), (33, 1, 2), (256, 3, 1000)]
)
def test_allowed_shapes_pass(image_size: int, channels: int, num_classes: int) -> None:
    check_shape(image_size, channels, num_classes)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((7, 1, 0), "image_size lies between 8 and 256 pixels, got 7"),
        ((257, 1, 0), "image_size lies between 8 and 256 pixels, got 257"),
        ((32, 4, 0), "channels is 1"),
        ((32, 1, 1), "num_classes is 0"),
    ],
)
def test_other_shapes_are_refused(shape: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_shape(*shape)
