import hypothesis.strategies as st
import pytest
from hypothesis import given

from imagemodels.errors import ConfigError, UnknownPreset
from imagemodels.training.config import TrainConfig

CONFIGS = st.builds(
    TrainConfig,
    preset=st.sampled_from(["vae", "dcgan", "sngan"]),
    image_size=st.integers(8, 64),
    channels=st.sampled_from([1, 3]),
    images=st.integers(1, 10**9),
    num_classes=st.sampled_from([0, 2, 10]),
    overrides=st.dictionaries(st.just("width"), st.integers(1, 64)),
    batch_size=st.none() | st.integers(2, 4096),
    seed=st.integers(0, 2**63),
    precision=st.sampled_from(["fp32", "bf16", "auto"]),
    evaluate_every=st.integers(0, 10**6),
)


def config(**changes: object) -> TrainConfig:
    return TrainConfig.from_mapping({"preset": "vae", "image_size": 8, "channels": 1, "images": 100} | changes)


@given(CONFIGS)
def test_a_configuration_survives_json(original: TrainConfig) -> None:
    assert TrainConfig.from_json(original.to_json()) == original


@given(CONFIGS)
def test_the_budget_is_rounded_up_to_whole_batches(made: TrainConfig) -> None:
    assert made.total_images % made.effective_batch_size == 0
    assert 0 <= made.total_images - made.images < made.effective_batch_size


def test_the_batch_size_is_the_preset_s_unless_given() -> None:
    assert config().effective_batch_size == config().model.options.batch_size
    assert config(batch_size=5).effective_batch_size == 5
    assert config(overrides={"batch_size": 7}).effective_batch_size == 7


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": 0}, "images is a whole number of at least 1, got 0"),
        ({"seed": -1}, "seed is a whole number of at least 0"),
        ({"batch_size": 1}, "batch_size lies between 2 and 4096, got 1"),
        ({"precision": "fp16"}, "precision is one of fp32, bf16, auto; got 'fp16'"),
        ({"preset": "convlstm", "num_classes": 3}, "learns no classes: num_classes is 0, got 3"),
        ({"preset": "cnn"}, "is a classifier and needs num_classes"),
        ({"image_size": 300}, "image_size lies between 8 and 256"),
        ({"sede": 1}, r"no setting 'sede' \(did you mean 'seed'\?\)"),
        ({"overrides": {"beta": 1}}, "has no option 'beta'"),
    ],
)
def test_what_cannot_be_trained_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(**changes)


HUGE = {"latent_size": 4096, "mixture": 10}


@pytest.mark.parametrize(("preset", "num_classes"), [("vae", 0), ("vae", 3), ("vae-gan", 100)])
def test_a_prior_that_no_memory_holds_is_refused(preset: str, num_classes: int) -> None:
    gaussians = {0: 10, 3: 12, 100: 100}[num_classes]
    with pytest.raises(ConfigError, match=rf"{gaussians} Gaussians over 4096 latents have [\d,]+ covariances, at most"):
        config(preset=preset, num_classes=num_classes, overrides=HUGE)


@pytest.mark.parametrize(
    "overrides", [HUGE | {"mixture": 0}, HUGE | {"mixture": 3}, {"latent_size": 64, "mixture": 1000}]
)
def test_a_prior_that_fits_passes(overrides: dict[str, object]) -> None:
    assert config(overrides=overrides).model.traits.makes_images


def test_an_unknown_preset_is_refused_at_once() -> None:
    with pytest.raises(UnknownPreset):
        config(preset="biggan")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"preset": "vae"}'])
def test_other_text_is_no_configuration(text: str) -> None:
    with pytest.raises(ConfigError):
        TrainConfig.from_json(text)


def test_a_longer_budget_is_no_difference_and_another_seed_is() -> None:
    assert config(images=500, samples_every=3).differences(config()) == []
    assert config(seed=4).differences(config(seed=3)) == ["seed 3 -> 4"]
