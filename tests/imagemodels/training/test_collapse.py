"""A run whose quality has collapsed goes back to its best state, or ends, as its options say."""

import io
from collections.abc import Callable, Iterable
from itertools import islice

import pytest
import torch

from imagemodels.errors import ConfigError
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator
from imagemodels.training.collapse import INDISTINCT, MOST_ROLLBACKS, CollapseGuard
from imagemodels.training.config import TrainConfig
from imagemodels.training.events import Collapse, Event, Quality, Samples, Step
from imagemodels.training.trainer import Trainer
from tests.imagemodels.pictures import digits
from tests.imagemodels.training.test_trainer import BATCH, SMALL, described, small_config, state_of, without_progress

STEPS = 9
Curve = Callable[[int, int], float]  # of rollbacks until then, and steps: what is measured


def once(rollbacks: int, step: int) -> float:
    """Best after the second step, worse than twice that after the fourth and the fifth; good on the second way."""
    return 0.4 / step if rollbacks else {1: 1.0, 2: 0.5, 3: 0.9}.get(step, 1.1 + step / 100)


def always(_rollbacks: int, step: int) -> float:
    return 0.5 if step <= 2 else 2.0


def guarded(policy: str = "rollback", curve: Curve = once, preset: str = "dcgan", patience: int = 2) -> Trainer:
    overrides = SMALL[preset] | {"on_collapse": policy, "collapse_patience": patience}
    config = small_config(preset, STEPS, overrides=overrides, evaluate_every=BATCH)
    images, labels = digits()

    def quality(_generator: Generator) -> float:
        return curve(trainer.guard.rollbacks, trainer.images_seen // BATCH)

    trainer = Trainer(config, images[:50], labels[:50], Runtime(threads=1), quality)
    return trainer


def resumed(trainer: Trainer, state: bytes) -> Trainer:
    trainer.load(io.BytesIO(state))
    return trainer


def events_of(trainer: Trainer) -> list[Event]:
    return list(without_progress(trainer.run()))


def steps_of(events: Iterable[Event]) -> list[int]:
    return [event.images_seen // BATCH for event in events if isinstance(event, Step)]


def until_collapse(trainer: Trainer) -> Collapse:
    return next(event for event in trainer.run() if isinstance(event, Collapse))


def learning_rates(trainer: Trainer) -> list[float]:
    return [optimizer.learning_rate for optimizer in trainer.task.optimizers.values()]


def weights(trainer: Trainer) -> torch.Tensor:
    networks = [*trainer.task.networks.values(), trainer.averaged.network]
    moments = [value for optimizer in trainer.task.optimizers.values() for value in optimizer.state.values()]
    parts = [tensor for network in networks for tensor in network.state_dict().values()]
    parts += [tensor for moment in moments for tensor in moment.values()]
    return torch.cat([part.double().flatten() for part in parts])


@pytest.mark.parametrize("preset", ["dcgan", "vae-gan"])
def test_it_goes_back_to_the_best_state_and_takes_another_way_from_there(preset: str) -> None:
    trainer, best, plain = guarded(preset=preset), guarded(preset=preset), guarded("ignore", preset=preset)
    found = until_collapse(trainer)
    assert found == Collapse(5 * BATCH, once(0, 5), 2 * BATCH, 0.5, goes_on=True)
    for event in best.run():
        if isinstance(event, Quality) and event.images_seen == 2 * BATCH:
            break
    assert trainer.images_seen == best.images_seen == 2 * BATCH
    assert torch.equal(weights(trainer), weights(best))
    assert learning_rates(trainer) == [rate / 2 for rate in learning_rates(best)]
    assert not torch.equal(trainer.stream.batch(2).images, plain.stream.batch(2).images)
    assert steps_of(trainer.run()) == [3, 4, 5, 6, 7, 8, 9]
    assert trainer.best is not None
    assert trainer.best.value == 0.4 / 9
    assert (trainer.diversions, trainer.divergences) == (1, 0)


@pytest.mark.parametrize(("policy", "curve"), [("rollback", once), ("rollback", always), ("stop", once)])
def test_a_run_left_around_a_collapse_and_resumed_ends_bit_for_bit_like_one_left_alone(
    policy: str, curve: Curve
) -> None:
    whole = guarded(policy, curve)
    expected = events_of(whole)
    last = max(place for place, event in enumerate(expected) if isinstance(event, Collapse))
    for stop in (last, last + 1, last + 2):  # before it, after it, and one event later
        first = guarded(policy, curve)
        before = list(islice(without_progress(first.run()), stop))
        second = resumed(guarded(policy, curve), state_of(first))
        after = events_of(second)
        assert [*map(described, before), *map(described, after)] == [*map(described, expected)]
        assert state_of(second) == state_of(whole)


def test_told_to_stop_it_ends_with_the_best_weights_and_a_last_sample_grid() -> None:
    trainer = guarded("stop")
    events = events_of(trainer)
    assert steps_of(events) == [1, 2, 3, 4, 5]
    assert trainer.finished
    (found,) = [event for event in events if isinstance(event, Collapse)]
    assert not found.goes_on
    assert isinstance(events[-1], Samples)
    assert trainer.generator("best").digest != trainer.generator().digest
    assert events_of(trainer) == []


def test_told_to_ignore_it_or_without_a_discriminator_it_goes_on() -> None:
    assert steps_of(guarded("ignore").run()) == list(range(1, STEPS + 1))
    with pytest.raises(ConfigError, match="preset 'vae' has no option 'on_collapse'"):
        small_config("vae", overrides={"on_collapse": "stop"})


def test_after_two_ways_back_the_next_collapse_is_the_end() -> None:
    trainer = guarded(curve=always)
    started = learning_rates(trainer)
    found = [event.goes_on for event in trainer.run() if isinstance(event, Collapse)]
    assert found == [True] * MOST_ROLLBACKS + [False]
    assert learning_rates(trainer) == [rate / 2**MOST_ROLLBACKS for rate in started]
    assert trainer.images_seen < STEPS * BATCH


def test_one_good_measurement_between_bad_ones_is_enough() -> None:
    events = events_of(guarded(curve=lambda _rollbacks, step: 0.5 if step == 1 else 2.0 if step % 2 else 0.8))
    assert not [event for event in events if isinstance(event, Collapse)]


def test_a_collapse_that_the_last_measurement_shows_changes_nothing_any_more() -> None:
    trainer = guarded(curve=lambda _rollbacks, step: 2.0 if step >= STEPS - 1 else 0.5)
    assert steps_of(trainer.run()) == list(range(1, STEPS + 1))
    assert trainer.guard.rollbacks == 0


@pytest.mark.parametrize(
    ("best", "value", "worse"), [(-0.002, 0.019, 0), (0.001, 0.021, 1), (0.3, 0.59, 0), (0.3, 0.61, 1)]
)
def test_near_zero_the_distance_of_real_images_is_what_is_doubled(best: float, value: float, worse: int) -> None:
    guard = CollapseGuard(guarded().config.model.options)
    guard.measured(value, best)
    assert guard.worse == worse
    assert INDISTINCT == 0.01


def test_the_best_state_is_stored_only_while_it_may_be_gone_back_to() -> None:
    def anchored(policy: str, curve: Curve) -> bool:
        trainer = guarded(policy, curve)
        events_of(trainer)
        content = torch.load(io.BytesIO(state_of(trainer)), weights_only=True)
        return content["anchor"] is not None

    assert anchored("rollback", once)
    assert not anchored("rollback", always)
    assert not anchored("stop", once)


def test_the_configuration_keeps_what_is_to_be_done() -> None:
    config = guarded("stop").config
    assert TrainConfig.from_json(config.to_json()) == config
