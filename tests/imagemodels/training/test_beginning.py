"""Training that begins with the weights of another run."""

import io
import zipfile
from dataclasses import replace
from functools import cache
from itertools import islice
from typing import Any

import pytest
import torch

from imagemodels.errors import ConfigError, CorruptCheckpoint
from imagemodels.runtime import Runtime
from imagemodels.training.config import TrainConfig
from imagemodels.training.descent import Descent
from imagemodels.training.runs import new_run
from tests.imagemodels.pictures import digits
from tests.imagemodels.training.test_trainer import (
    BATCH,
    SMALL,
    finished_state,
    new_trainer,
    resumed,
    small_config,
    state_of,
)

PARENT_IMAGES = 6 * BATCH


@cache
def parent(preset: str) -> bytes:
    return finished_state(small_config(preset, seed=9))[0]


def child(preset: str, **changes: Any) -> TrainConfig:
    return small_config(preset, images_before=PARENT_IMAGES, **changes)


def begun(config: TrainConfig, state: bytes) -> Descent:
    trainer = new_trainer(config)
    trainer.begin(io.BytesIO(state))
    return trainer


def equal(first: Any, second: Any) -> bool:
    """Whether two nested states hold the same numbers."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(equal(value, second[key]) for key, value in first.items())
    return bool(first == second)


@pytest.mark.parametrize("preset", ["vae", "sngan", "convlstm"])
def test_it_begins_with_all_networks_and_averages_and_with_fresh_optimizers(preset: str) -> None:
    stored = torch.load(io.BytesIO(parent(preset)), weights_only=True)
    trainer, scratch = begun(child(preset), parent(preset)), new_trainer(child(preset))
    assert equal(trainer.tensors()["networks"], stored["networks"])
    assert equal(trainer.tensors()["averaged"], stored["averaged"])
    assert equal(trainer.tensors()["optimizers"], scratch.tensors()["optimizers"])
    assert not equal(trainer.tensors()["optimizers"], stored["optimizers"])
    assert (trainer.step, trainer.images_seen, trainer.best) == (0, 0, None)


@pytest.mark.parametrize("preset", ["vae", "sngan", "convlstm"])
def test_it_is_the_same_bytes_each_time_and_after_an_interruption_but_not_those_of_another_beginning(
    preset: str,
) -> None:
    config = child(preset)
    once, again = (begun(config, parent(preset)) for _ in range(2))
    for trainer in (once, again):
        for _event in trainer.run():
            pass
    left = begun(config, parent(preset))
    for _event in islice(left.run(), 7):
        pass
    assert 0 < left.images_seen < once.images_seen
    continued = resumed(config, state_of(left))
    for _event in continued.run():
        pass
    assert state_of(once) == state_of(again) == state_of(continued)
    assert state_of(once) != finished_state(config)[0]


def test_its_losses_begin_where_those_of_the_parent_ended() -> None:
    parent_losses, child_losses, scratch_losses = (
        float(trainer.task.step(trainer.stream.batch(0))["reconstruction"])
        for trainer in (resumed(small_config("vae", seed=9), parent("vae")), begun(child("vae", seed=9), parent("vae")),
                        new_trainer(small_config("vae", seed=9)))
    )  # fmt: skip
    assert child_losses == parent_losses < scratch_losses


def test_averages_keep_what_the_parent_has_learnt() -> None:
    state = parent("vae")
    before = torch.load(io.BytesIO(state), weights_only=True)["averaged"]
    trainer = begun(replace(child("vae"), images_before=10**6), state)
    next(event for event in trainer.run() if trainer.step == 1)
    moved = [
        (trainer.averaged.network.state_dict()[key] - value).abs().max() for key, value in before.items() if value.ndim
    ]
    assert 0 < float(max(moved)) < 1e-3  # half-life 10,000 images; a run from scratch would have forgotten it all


def test_networks_of_another_make_are_refused_in_one_line() -> None:
    wider = small_config("vae", overrides={**SMALL["vae"], "width": 8})
    with pytest.raises(CorruptCheckpoint, match="its networks are of another make") as caught:
        begun(wider, parent("vae"))
    assert "\n" not in str(caught.value)
    with pytest.raises(CorruptCheckpoint, match="cannot be read"):
        begun(child("vae"), b"no state")


def test_a_state_of_a_few_bytes_cannot_stand_for_terabytes() -> None:
    stored = torch.load(io.BytesIO(parent("vae")), weights_only=True)
    name = next(key for key, value in stored["averaged"].items() if value.ndim)
    for tensor in (torch.ones(1).expand(10**12), torch.ones(1, 1).to_sparse(), torch.ones(4)[1:].expand(10**6, 3)):
        with pytest.raises(CorruptCheckpoint, match="it holds a tensor"):
            begun(child("vae"), saved({**stored, "averaged": {**stored["averaged"], name: tensor}}))
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(parent("vae"))) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.namelist():
            new.writestr(member, old.read(member))
    with pytest.raises(CorruptCheckpoint, match="is packed"):
        begun(child("vae"), packed.getvalue())


def test_a_state_is_never_run() -> None:
    with pytest.raises(CorruptCheckpoint, match="cannot be read"):
        begun(child("vae"), saved({"format_version": 3, "config": Evil()}))
    assert not Evil.was_run


class Evil:
    """What an unpickler without limits would run."""

    was_run = False

    def __reduce__(self) -> Any:
        return (setattr, (Evil, "was_run", True))


def saved(state: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def test_a_forest_begins_with_no_other_model() -> None:
    images, _labels = digits(8)
    config = TrainConfig(preset="forest", image_size=8, channels=1, images=40)
    with pytest.raises(ConfigError, match="is made anew from its images"):
        new_run(config, images[:40], None, Runtime(threads=1)).begin(io.BytesIO(parent("vae")))
