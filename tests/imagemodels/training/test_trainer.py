import io
from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice

import numpy as np
import pytest
import torch

from imagemodels.codec import Codec
from imagemodels.data import SequenceDataset, load_sequences
from imagemodels.errors import ConfigError, CorruptCheckpoint, DataError, NonFiniteLoss
from imagemodels.presets import resolve
from imagemodels.restoration import Restorer
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator
from imagemodels.training.codec_trainer import CodecTrainer
from imagemodels.training.config import TrainConfig
from imagemodels.training.descent import Descent
from imagemodels.training.events import Event, Progress, Quality, Samples, Step
from imagemodels.training.ranks import Ranks
from imagemodels.training.restoration_trainer import RestorationTrainer
from imagemodels.training.sequence_trainer import SequenceTrainer
from imagemodels.training.trainer import Trainer
from tests.imagemodels.pictures import coloured, digits

BATCH = 16
SMALL: dict[str, dict[str, object]] = {
    "vae": {"width": 4, "latent_size": 4},
    "dcgan": {"width": 4, "discriminator_width": 4, "latent_size": 4},
    "sngan": {"width": 4, "discriminator_width": 4, "latent_size": 4, "translation": 0.1},
    "lsgan": {"width": 4, "discriminator_width": 4, "latent_size": 4},
    "wgan-gp": {"width": 4, "discriminator_width": 4, "latent_size": 4, "generator_every": 2},
    "r3gan": {"width": 4, "discriminator_width": 4, "latent_size": 4},
    "beta-vae": {"width": 4, "latent_size": 4},
    "mlp-vae": {"width": 8, "latent_size": 4},
    "mlp-gan": {"width": 8, "discriminator_width": 8, "latent_size": 4},
    "vae-gan": {"width": 4, "discriminator_width": 4, "latent_size": 4, "adversarial": "ns"},
    "cnn": {"width": 4},
    "fsq-ae": {"width": 4, "blocks": 1, "levels": "5,4"},
    "convlstm": {"width": 4, "layers": 1, "given_frames": 2, "predicted_frames": 2, "patch": 2, "sampling_images": 64},
    "conv-ae": {"width": 4, "degradation": "mask", "hole_shape": "irregular"},
    "pix2pix": {"width": 4, "halvings": 2, "discriminator_width": 4},
    "predrnn": {"width": 4, "layers": 2, "given_frames": 2, "predicted_frames": 2, "patch": 2, "sampling_images": 64},
}
KNOWS_DIFFERENCES_ALONE = {
    "wgan-gp",
    "r3gan",
    "mlp-gan",
}  # between logits: what is added to all of them changes nothing


def brightness(generator: Generator) -> float:
    """A measurement that any generator has: the mean level of ten images."""
    return float(generator.sample(0, np.arange(10)).mean())


def small_config(preset: str, steps: int = 6, **changes: object) -> TrainConfig:
    values: dict[str, object] = {
        "preset": preset,
        "image_size": 8,
        "channels": 1,
        "num_classes": 10 if resolve(preset).traits.learns_classes else 0,
        "images": steps * BATCH,
        "batch_size": BATCH,
        "overrides": SMALL[preset],
        "evaluate_every": 2 * BATCH,
        "samples_every": 3 * BATCH,
        "sample_count": 4,
        "seed": 5,
    }
    return TrainConfig.from_mapping(values | changes)


@cache
def moving(image_size: int, channels: int) -> SequenceDataset:
    return load_sequences("moving:digits", image_size=image_size, channels=channels)


def trainer_of(config: TrainConfig) -> type[Trainer]:
    return CodecTrainer if config.model.family == "codec" else Trainer


def new_trainer(config: TrainConfig, ranks: Ranks | None = None) -> Descent:
    if config.model.traits.predicts_frames:
        return SequenceTrainer(config, moving(config.image_size, config.channels), Runtime(threads=1), ranks)
    images, labels = digits(config.image_size)
    images = coloured(images) if config.channels == 3 else images
    if config.model.traits.restores_images:
        return RestorationTrainer(config, images[:50], Runtime(threads=1), test_images=images[1500:1540])
    known = labels if config.num_classes else None
    tests = {"test_images": images[1500:1540], "test_labels": labels[1500:1540]}
    return trainer_of(config)(
        config,
        images[:50],
        known[:50] if known is not None else None,
        Runtime(threads=1),
        brightness,
        ranks=ranks,
        **(tests if config.preset == "cnn" else {}),
    )


def state_of(trainer: Descent) -> bytes:
    file = io.BytesIO()
    trainer.save(file)
    return file.getvalue()


def finished_state(config: TrainConfig) -> tuple[bytes, list[Event]]:
    trainer = new_trainer(config)
    events = list(without_progress(trainer.run()))
    return state_of(trainer), events


def resumed(config: TrainConfig, state: bytes) -> Descent:
    trainer = new_trainer(config)
    trainer.load(io.BytesIO(state))
    return trainer


def without_progress(events: Iterator[Event]) -> Iterator[Event]:
    return (event for event in events if not isinstance(event, Progress))


def described(event: Event) -> object:
    return (event.images_seen, event.images.tobytes()) if isinstance(event, Samples) else event


@pytest.mark.parametrize("preset", SMALL)
def test_a_run_left_after_any_event_and_resumed_ends_bit_for_bit_like_one_left_alone(preset: str) -> None:
    config = small_config(preset)
    expected_state, expected_events = finished_state(config)
    for stop in (1, 4, len(expected_events)):
        first = new_trainer(config)
        before = list(islice(without_progress(first.run()), stop))
        second = resumed(config, state_of(first))
        after = list(without_progress(second.run()))
        assert state_of(second) == expected_state
        assert [*map(described, before), *map(described, after)] == [*map(described, expected_events)]


@pytest.mark.parametrize("preset", SMALL)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_gives_others(preset: str) -> None:
    config = small_config(preset, steps=2)
    assert finished_state(config)[0] == finished_state(config)[0]
    other = new_trainer(small_config(preset, steps=2, seed=6))
    assert other.model().digest != new_trainer(config).model().digest


@pytest.mark.parametrize("preset", SMALL)
def test_what_the_caller_does_with_random_numbers_changes_nothing(preset: str) -> None:
    config = small_config(preset, steps=3)
    disturbed = new_trainer(config)
    for _ in disturbed.run():
        torch.manual_seed(99)
        torch.rand(7)
    assert state_of(disturbed) == finished_state(config)[0]


@pytest.mark.parametrize("preset", SMALL)
@pytest.mark.parametrize(("image_size", "channels", "num_classes"), [(8, 3, 10), (17, 1, 0)])
def test_training_changes_every_weight_at_other_shapes(
    preset: str, image_size: int, channels: int, num_classes: int
) -> None:
    classes = (num_classes or (10 if preset == "cnn" else 0)) if resolve(preset).traits.learns_classes else 0
    # Within its margins the hinge loss gives the last bias a gradient of exactly zero.
    overrides = SMALL[preset] | ({"adversarial": "ns"} if preset == "sngan" else {})
    shape = {"image_size": image_size, "channels": channels, "num_classes": classes, "overrides": overrides}
    trainer = new_trainer(small_config(preset, 3, **shape))
    before = {name: weight.clone() for net in trainer.task.networks.values() for name, weight in net.named_parameters()}
    for _ in trainer.run():
        pass
    after = {name: weight for net in trainer.task.networks.values() for name, weight in net.named_parameters()}
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert same <= ({"head.bias"} if preset in KNOWS_DIFFERENCES_ALONE else set())


def trained_on_noise(preset: str, image_size: int, channels: int, num_classes: int) -> Descent:
    """A trainer of tiny networks after one step of two images."""
    narrow = {name: 2 for name in ("width", "discriminator_width", "generator_every") if name in SMALL[preset]}
    shape = {"image_size": image_size, "channels": channels, "num_classes": num_classes, "batch_size": 2, "images": 4}
    overrides = SMALL[preset] | narrow
    config = small_config(preset, **shape, overrides=overrides, evaluate_every=0, samples_every=0)
    images = torch.randint(0, 256, (4, channels, image_size, image_size), dtype=torch.uint8)
    labels = torch.tensor([0, 1, 0, 1]) if num_classes else None
    trainer: Descent = (
        RestorationTrainer(config, images, Runtime(threads=1))
        if config.model.traits.restores_images
        else trainer_of(config)(config, images, labels, Runtime(threads=1))
    )
    for _ in trainer.run():
        pass
    return trainer


@pytest.mark.parametrize("preset", [preset for preset in SMALL if resolve(preset).traits.makes_images])
@pytest.mark.parametrize(("image_size", "channels", "num_classes"), [(28, 1, 0), (96, 1, 2), (256, 3, 2)])
def test_pictures_of_any_size_and_kind_are_learnt_and_made(
    preset: str, image_size: int, channels: int, num_classes: int
) -> None:
    trainer = trained_on_noise(preset, image_size, channels, num_classes)
    made = Generator(trainer.generator().network, trainer.runtime, batch_size=2).sample(0, np.arange(2))
    assert made.shape == (2, image_size, image_size, channels)
    latents, labels = torch.randn(2, 4), torch.tensor([0, 1]) if num_classes else None
    raw = trainer.task.product(latents, labels).detach()  # the averaged one has hardly begun to move
    assert raw.isfinite().all()
    assert raw.std() > 1e-3


@pytest.mark.parametrize(("image_size", "channels"), [(28, 1), (96, 3), (256, 3)])
def test_pictures_of_any_size_are_classified(image_size: int, channels: int) -> None:
    trainer = trained_on_noise("cnn", image_size, channels, 2)
    images = torch.randint(0, 256, (3, channels, image_size, image_size), dtype=torch.uint8)
    assert set(trainer.classifier().predict(images).tolist()) <= {0, 1}


@pytest.mark.parametrize(("image_size", "channels"), [(28, 1), (96, 3), (256, 3)])
def test_pictures_of_any_size_are_compressed_and_come_back(image_size: int, channels: int) -> None:
    codec = trained_on_noise("fsq-ae", image_size, channels, 0).model()
    assert isinstance(codec, Codec)
    images = np.random.default_rng(0).integers(0, 256, (2, image_size, image_size, channels), dtype=np.uint8)
    files = codec.compress(images)
    assert np.array_equal(codec.decompress(files), codec.pixels(codec.codes(images)))


@pytest.mark.parametrize("preset", ["conv-ae", "pix2pix"])
@pytest.mark.parametrize(("image_size", "channels"), [(28, 1), (96, 3)])
def test_pictures_of_any_size_are_restored(preset: str, image_size: int, channels: int) -> None:
    restorer = trained_on_noise(preset, image_size, channels, 0).model()
    assert isinstance(restorer, Restorer)
    images = np.random.default_rng(0).integers(0, 256, (2, image_size, image_size + 5, channels), dtype=np.uint8)
    holes = images[..., 0] < 128 if restorer.damage.has_holes else None
    restored = restorer.restore(images, holes)
    assert restored.shape == images.shape
    assert holes is None or np.array_equal(restored[~holes], images[~holes])
    assert (restored != images).any()


def test_the_losses_of_the_vae_fall_on_a_small_batch() -> None:
    config = small_config("vae", steps=60, samples_every=0, evaluate_every=0, overrides={"width": 8})
    images, labels = digits()
    trainer = Trainer(config, images[:BATCH], labels[:BATCH], Runtime(threads=1))
    losses = [trainer.task.step(trainer.stream.batch(step))["reconstruction"].item() for step in range(60)]
    assert losses[-1] < losses[0] - 30


def test_the_discriminator_learns_to_tell_fakes_from_reals() -> None:
    trainer = new_trainer(small_config("sngan", overrides=SMALL["sngan"] | {"learning_rate": 1e-7}))
    losses = [trainer.task.step(trainer.stream.batch(step))["discriminator"].item() for step in range(60)]
    assert np.mean(losses[-10:]) < 0.75 * np.mean(losses[:10])


def test_events_come_in_order_with_samples_from_the_start_and_measurements_when_due() -> None:
    _, events = finished_state(small_config("vae", steps=5))
    shown = [(type(event).__name__, event.images_seen // BATCH) for event in events]
    assert shown == [
        ("Samples", 0), ("Step", 1), ("Step", 2), ("Quality", 2), ("Step", 3), ("Samples", 3), ("Step", 4),
        ("Quality", 4), ("Step", 5), ("Samples", 5), ("Quality", 5),
    ]  # fmt: skip
    samples = [event for event in events if isinstance(event, Samples)]
    assert all(event.images.shape == (4, 8, 8, 1) and event.images.dtype == np.uint8 for event in samples)


def test_the_best_weights_are_kept_and_found_again_after_a_resume() -> None:
    values = iter([3.0, 1.0, 2.0])
    images, labels = digits()
    config = small_config("vae", samples_every=0)
    trainer = Trainer(config, images, labels, Runtime(threads=1), lambda _: next(values))
    digests, measured = {}, []
    for event in trainer.run():
        if isinstance(event, Quality):
            measured.append((event.value, event.best))
            digests[event.value] = trainer.generator().digest
    assert measured == [(3.0, True), (1.0, True), (2.0, False)]
    assert trainer.generator("best").digest == digests[1.0] != trainer.generator().digest
    second = Trainer(config, images, labels, Runtime(threads=1), brightness)
    second.load(io.BytesIO(state_of(trainer)))
    assert second.generator("best").digest == digests[1.0]


def test_the_accuracy_of_a_classifier_is_best_when_highest() -> None:
    _, events = finished_state(small_config("cnn", steps=60, evaluate_every=20 * BATCH))
    measured = [event for event in events if isinstance(event, Quality)]
    assert all(0 <= event.value <= 1 for event in measured)
    bests = [event.value for event in measured if event.best]
    assert bests == sorted(bests)
    assert max(event.value for event in measured) == bests[-1] > 0.5


def test_progress_reports_mean_losses_and_ends_at_the_total() -> None:
    trainer = new_trainer(small_config("dcgan"))
    *_, last = (event for event in trainer.run() if isinstance(event, Progress))
    assert (last.images_seen, last.total) == (6 * BATCH, 6 * BATCH)
    assert set(last.losses) == {"generator", "discriminator"}
    assert last.images_per_second > 0


def test_diverging_training_stops_and_cannot_be_saved() -> None:
    trainer = new_trainer(small_config("vae", evaluate_every=0, samples_every=0))
    run = trainer.run()
    assert isinstance(next(run), Step)
    with torch.no_grad():
        next(trainer.task.product.parameters()).fill_(torch.nan)
    next(run)
    with pytest.raises(NonFiniteLoss, match="reconstruction"):
        trainer.save(io.BytesIO())
    with pytest.raises(NonFiniteLoss, match="reconstruction"):
        list(run)


def test_bf16_trains_close_to_fp32() -> None:
    losses = {}
    for precision in ("fp32", "bf16"):
        trainer = new_trainer(small_config("sngan", precision=precision))
        losses[precision] = [float(trainer.task.step(trainer.stream.batch(i))["discriminator"]) for i in range(5)]
    np.testing.assert_allclose(losses["bf16"], losses["fp32"], rtol=0.05)


def test_another_configuration_or_other_images_are_refused() -> None:
    state = state_of(new_trainer(small_config("vae")))
    with pytest.raises(CorruptCheckpoint, match=r"another configuration: .*seed 5 -> 6"):
        resumed(small_config("vae", seed=6), state)
    images, labels = digits()
    other = Trainer(small_config("vae"), images[100:150], labels[100:150], Runtime())
    with pytest.raises(CorruptCheckpoint, match="other images"):
        other.load(io.BytesIO(state))


def test_a_longer_budget_goes_on_from_a_shorter_one() -> None:
    short = small_config("vae", steps=2)
    trainer = resumed(small_config("vae", steps=4), finished_state(short)[0])
    assert [event.images_seen // BATCH for event in trainer.run() if isinstance(event, Step)] == [3, 4]


@pytest.mark.parametrize("damage", [lambda _: b"", lambda state: state[:-200], lambda _: b"no zip" * 99])
def test_a_damaged_state_is_refused(damage: Callable[[bytes], bytes]) -> None:
    with pytest.raises(CorruptCheckpoint):
        resumed(small_config("vae"), damage(state_of(new_trainer(small_config("vae")))))


def test_a_state_with_code_in_it_is_not_run() -> None:
    file = io.BytesIO()
    torch.save({"format_version": 1, "config": print}, file)
    with pytest.raises(CorruptCheckpoint, match="cannot be read"):
        resumed(small_config("vae"), file.getvalue())


def test_a_classifier_makes_no_images_and_a_generator_no_predictions() -> None:
    with pytest.raises(ConfigError, match="makes no images"):
        new_trainer(small_config("cnn")).generator()
    with pytest.raises(ConfigError, match="is no classifier"):
        new_trainer(small_config("vae")).classifier()
    with pytest.raises(ConfigError, match="nothing was measured"):
        new_trainer(small_config("vae")).generator("best")
    with pytest.raises(ConfigError, match="predicts no frames"):
        new_trainer(small_config("vae")).predictor()
    with pytest.raises(ConfigError, match="makes no images"):
        new_trainer(small_config("convlstm")).generator()


@pytest.mark.parametrize("preset", ["fsq-ae", "conv-ae"])
def test_a_preset_that_another_run_trains_is_refused(preset: str) -> None:
    with pytest.raises(ConfigError, match=f"preset '{preset}' is a .*: Trainer does not train it"):
        Trainer(small_config(preset), digits()[0][:50], None, Runtime())


def test_test_images_that_do_not_fit_are_refused() -> None:
    images, labels = digits()
    with pytest.raises(DataError):
        Trainer(small_config("cnn"), images, labels, Runtime(), test_images=digits(9)[0], test_labels=labels)
