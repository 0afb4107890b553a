"""What a trainer does about a divergence: it keeps nothing that is worthless, and can leave the path that led there."""

import io
from collections.abc import Callable
from typing import Any

import pytest
import torch

from imagemodels.errors import CorruptCheckpoint, NonFiniteLoss
from imagemodels.random import diverted_seed
from imagemodels.training.descent import Descent
from tests.imagemodels.training.test_trainer import SMALL, new_trainer, resumed, small_config, state_of


def diverted(preset: str, times: int = 1) -> Descent:
    trainer = new_trainer(small_config(preset, steps=4, evaluate_every=0, samples_every=0))
    for _ in range(times):
        trainer.divert()
    return trainer


def trained(trainer: Descent) -> Descent:
    for _ in trainer.run():
        pass
    return trainer


def edited(state: bytes, edit: Callable[[dict[str, Any]], None]) -> bytes:
    content = torch.load(io.BytesIO(state), weights_only=True)
    edit(content)
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


@pytest.mark.parametrize("preset", SMALL)
def test_a_diverted_run_sees_other_images_and_noise_at_half_the_rates(preset: str) -> None:
    straight, other = diverted(preset, 0), diverted(preset)
    assert not torch.equal(straight.stream.batch(0).images, other.stream.batch(0).images)
    noises = [run.task.noise(run.stream.batch(0), 4, "latents") for run in (straight, other)]
    assert not torch.equal(*noises)
    for mine, theirs in zip(other.task.optimizers.values(), straight.task.optimizers.values(), strict=True):
        assert mine.learning_rate == theirs.learning_rate / 2


@pytest.mark.parametrize("preset", SMALL)
def test_a_diverted_run_is_resumed_bit_for_bit(preset: str) -> None:
    expected = state_of(trained(diverted(preset)))
    first = diverted(preset)
    run = first.run()
    next(run), next(run)
    second = resumed(first.config, state_of(first))
    assert second.diversions == 1
    assert state_of(trained(second)) == expected != state_of(trained(diverted(preset, 0)))


def test_every_diversion_has_a_seed_of_its_own() -> None:
    seeds = {diverted_seed(seed, times) for seed in (0, 5) for times in range(3)}
    assert len(seeds) == 6
    assert diverted_seed(5, 0) == 5


@pytest.mark.parametrize("part", ["networks", "averaged", "optimizers"])
def test_what_is_not_finite_is_neither_saved_nor_the_end_of_a_run(part: str) -> None:
    trainer = trained(diverted("vae", 0))
    tensors = {
        "networks": next(trainer.task.networks["encoder"].parameters()),
        "averaged": next(trainer.averaged.network.parameters()),
        "optimizers": next(iter(trainer.task.optimizers["both"].state.values()))["exp_avg_sq"],
    }
    with torch.no_grad():
        tensors[part].view(-1)[-1] = torch.inf
    file = io.BytesIO()
    with pytest.raises(NonFiniteLoss, match=f"numbers in {part} are not finite"):
        trainer.save(file)
    assert file.getvalue() == b""
    with pytest.raises(NonFiniteLoss, match="lower the learning rate"):
        list(trainer.run())


def test_a_state_that_is_not_finite_is_refused() -> None:
    def spoil(content: dict[str, Any]) -> None:
        next(iter(content["averaged"].values())).view(-1)[0] = torch.nan

    trainer = diverted("vae", 0)
    with pytest.raises(CorruptCheckpoint, match="numbers in averaged that are not finite"):
        resumed(trainer.config, edited(state_of(trainer), spoil))


@pytest.mark.parametrize("version", [1, 2])
def test_a_state_of_an_older_format_is_read(version: int) -> None:
    def age(content: dict[str, Any]) -> None:
        content["format_version"] = version
        for name in ("guard", "anchor", *(("micro_batch", "diversions") if version == 1 else ())):
            del content[name]

    trainer = trained(diverted("cnn", 0))
    old = resumed(trainer.config, edited(state_of(trainer), age))
    assert state_of(old) == state_of(trainer)
