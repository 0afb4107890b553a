from dataclasses import replace

import numpy as np
import pytest
import torch

from imagemodels.digest import model_digest
from imagemodels.errors import ConfigError
from imagemodels.networks.decoder import ConvDecoder
from imagemodels.networks.specs import ConvDecoderSpec
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator

SPEC = ConvDecoderSpec(image_size=20, channels=3, latent_size=9, width=8, num_classes=4)
SPECS = {
    "plain": SPEC,
    "transposed": replace(SPEC, upsample="transposed"),
    "residual": replace(SPEC, residual=True, image_size=16),
    "unconditional": replace(SPEC, num_classes=0),
}
INDICES = np.arange(37)


def new_generator(spec: ConvDecoderSpec = SPEC, precision: str = "fp32", batch_size: int = 16) -> Generator:
    torch.manual_seed(3)
    network = ConvDecoder(spec)
    network(torch.randn(64, spec.latent_size), torch.arange(64) % 4)  # batch statistics that are not the initial ones
    runtime = Runtime(precision=precision, threads=1)
    runtime.place(network)
    return Generator(network, runtime, batch_size)


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_any_split_of_the_numbers_gives_the_same_pixels(kind: str, precision: str) -> None:
    generator = new_generator(SPECS[kind], precision)
    whole = generator.sample(7, INDICES)
    assert whole.shape == (37, SPECS[kind].image_size, SPECS[kind].image_size, 3)
    assert whole.dtype == np.uint8
    for cuts in ([1], [16], [5, 20, 21], [3, 19, 35]):
        parts = [generator.sample(7, part) for part in np.split(INDICES, cuts)]
        assert np.array_equal(np.concatenate(parts), whole)
    shuffled = np.random.default_rng(0).permutation(37)
    assert np.array_equal(generator.sample(7, shuffled), whole[shuffled])


def test_other_seeds_indices_and_classes_give_other_images() -> None:
    generator = new_generator()
    first = generator.sample(1, INDICES)
    assert not np.array_equal(first, generator.sample(2, INDICES))
    assert len({image.tobytes() for image in first}) == 37
    assert not np.array_equal(first, generator.sample(1, INDICES, np.zeros(37, dtype=np.int64)))


def test_labels_are_the_index_modulo_the_classes_unless_given() -> None:
    generator = new_generator()
    assert np.array_equal(generator.sample(1, INDICES), generator.sample(1, INDICES, INDICES % 4))


def test_bf16_stays_within_a_few_levels_of_fp32() -> None:
    difference = new_generator().sample(1, INDICES).astype(int) - new_generator(precision="bf16").sample(1, INDICES)
    assert 0 < np.abs(difference).max() <= 12
    assert np.abs(difference).mean() < 1


def test_weights_are_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = new_generator()
    digest = generator.digest
    monkeypatch.setattr("imagemodels.batched.model_digest", lambda _network: "hashed again")
    assert generator.digest == digest


def test_sampling_changes_neither_weights_nor_the_global_generator() -> None:
    generator = new_generator()
    digest, state = generator.digest, torch.get_rng_state()
    generator.sample(1, INDICES)
    assert model_digest(generator.network) == digest
    assert torch.equal(torch.get_rng_state(), state)


def test_no_images_are_an_empty_array() -> None:
    assert new_generator().sample(1, INDICES[:0]).shape == (0, 20, 20, 3)


@pytest.mark.parametrize(
    ("kind", "labels", "message"),
    [
        ("unconditional", np.zeros(37, dtype=np.int64), "this model is unconditional"),
        ("plain", np.zeros(3, dtype=np.int64), "37 indices need as many labels"),
        ("plain", np.full(37, 4), "between 0 and 3, got 4 to 4"),
        ("plain", np.full(37, -1), "between 0 and 3, got -1 to -1"),
    ],
)
def test_labels_that_do_not_fit_are_refused(kind: str, labels: np.ndarray, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        new_generator(SPECS[kind]).sample(1, INDICES, labels)


@pytest.mark.parametrize("kind", ["plain", "unconditional"])
def test_an_image_is_that_of_its_latents(kind: str) -> None:
    generator = new_generator(SPECS[kind])
    labels = INDICES % 4 if kind == "plain" else None
    made = generator.decode(generator.latents(7, INDICES, labels), labels)
    assert np.array_equal(made, generator.sample(7, INDICES, labels))


def test_latents_alone_are_not_enough_for_a_conditional_model() -> None:
    generator = new_generator()
    with pytest.raises(ConfigError, match="the labels are missing"):
        generator.decode(generator.latents(7, INDICES), None)
