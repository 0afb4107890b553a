from dataclasses import replace

import numpy as np
import pytest
import torch

from imagemodels.data import load_sequences
from imagemodels.errors import ConfigError, DataError
from imagemodels.evaluation.sequences import evaluate_sequences
from imagemodels.objectives import RECONSTRUCTION
from imagemodels.options import SequenceOptions
from imagemodels.pixels import to_float
from imagemodels.runtime import Runtime
from imagemodels.training.config import TrainConfig
from imagemodels.training.events import Quality, Samples
from imagemodels.training.runs import new_run
from imagemodels.training.sequence import SequenceTask, chances_of_truth
from imagemodels.training.sequence_stream import SequenceStream
from imagemodels.training.sequence_trainer import SequenceTrainer
from tests.imagemodels.pictures import digits
from tests.imagemodels.training.test_trainer import BATCH, SMALL, moving, new_trainer, small_config, without_progress


def task_of(preset: str = "convlstm", **changes: object) -> tuple[SequenceStream, SequenceTask]:
    trainer = new_trainer(small_config(preset, overrides=SMALL[preset] | changes))
    assert isinstance(trainer.task, SequenceTask)
    assert isinstance(trainer.stream, SequenceStream)
    return trainer.stream, trainer.task


def chances(sampling: str, seen: int) -> list[float]:
    options = SequenceOptions(given_frames=2, predicted_frames=2, sampling=sampling, sampling_images=1000)
    found: list[float] = chances_of_truth(options, seen, 4).tolist()
    return found


def test_linear_sampling_weans_the_network_of_the_frames_to_predict() -> None:
    assert chances("linear", 0) == [1, 1, 1, 1]
    assert chances("linear", 250) == [1, 1, 0.75, 0.75]
    assert chances("linear", 1000) == chances("linear", 9999) == [1, 1, 0, 0]


def test_reverse_sampling_hides_given_frames_at_first() -> None:
    assert chances("reverse", 0) == [0.5, 0.5, 0.5, 0.5]
    assert chances("reverse", 500) == [0.75, 0.75, 0.25, 0.25]
    assert chances("reverse", 1000) == chances("none", 0) == [1, 1, 0, 0]


def test_as_many_true_frames_are_seen_as_the_chances_say() -> None:
    stream, task = task_of(sampling="reverse", sampling_images=100 * BATCH)
    drawn = torch.stack([task._seen(replace(stream.batch(0), step=step)) for step in range(60)]).float()
    assert drawn.mean((0, 1)).tolist() == pytest.approx([0.5] * 4, abs=0.06)
    late = task._seen(replace(stream.batch(0), images_seen=100 * BATCH))
    assert late.tolist() == [[True, True, False, False]] * BATCH


@pytest.mark.parametrize("loss", ["mse", "l1", "bce", "sigma"])
def test_the_loss_is_that_of_every_frame_but_the_first(loss: str) -> None:
    stream, task = task_of(reconstruction=loss, sampling="none")
    batch = stream.batch(0)
    shown = task.step(batch)["reconstruction"]
    _, fresh = task_of(reconstruction=loss, sampling="none")
    with torch.no_grad():
        made = fresh.predictor(batch.images[:, :2], 3)
    frames = batch.images[:, 1:].reshape(-1, 1, 8, 8)
    torch.testing.assert_close(shown, RECONSTRUCTION[loss](frames, made.reshape(-1, 1, 8, 8)))


@pytest.mark.parametrize("preset", ["convlstm", "predrnn"])
def test_the_loss_falls_on_a_small_batch(preset: str) -> None:
    stream, task = task_of(preset, width=8, learning_rate=5e-3, sampling="none")
    batch = stream.batch(0)
    losses = [task.step(replace(batch, step=step))["reconstruction"].item() for step in range(30)]
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("preset", ["convlstm", "predrnn"])
def test_a_little_training_beats_the_mean_frame_and_in_the_end_the_last_one(preset: str) -> None:
    options = {"width": 8, "given_frames": 2, "predicted_frames": 2, "learning_rate": 1e-2, "sampling": "none"}
    overrides = options | {"layers": 1, "ema_half_life_images": 200}
    trainer = new_trainer(small_config(preset, overrides=overrides, steps=100, evaluate_every=800, samples_every=800))
    for _ in trainer.run():
        pass
    assert isinstance(trainer, SequenceTrainer)
    found = evaluate_sequences(trainer.predictor(), moving(8, 1), frames=2, count=64)
    assert np.all(np.less(found.model.mse, np.multiply(0.8, found.pixel_mean.mse)))
    assert np.all(np.less(found.model.mse, np.multiply(0.9, found.copy_last.mse)))
    assert found.model.ssim[1] > max(found.pixel_mean.ssim[1], found.copy_last.ssim[1])


def test_step_after_step_has_fresh_sequences_in_the_order_of_their_numbers() -> None:
    stream, _ = task_of()
    data = moving(8, 1)
    expected = torch.from_numpy(data.sequences(np.arange(BATCH, 2 * BATCH), 4, held_out=False, seed=5))
    found = stream.batch(1)
    assert found.images.shape == (BATCH, 4, 1, 8, 8)
    assert torch.equal(found.images[3, 2], to_float(expected[3, 2].permute(2, 0, 1)[None])[0])
    assert found.images_seen == BATCH


@pytest.mark.parametrize("option", ["horizontal_flips", "vertical_flips", "crop", "colour_jitter"])
def test_sequences_are_not_changed_as_single_images_are(option: str) -> None:
    with pytest.raises(ConfigError, match=f"preset 'convlstm' has no option '{option}'"):
        small_config("convlstm", overrides=SMALL["convlstm"] | {option: True})


def test_samples_are_strips_and_the_error_on_held_out_sequences_is_measured() -> None:
    events = list(without_progress(new_trainer(small_config("predrnn", steps=4, sample_count=20)).run()))
    samples = [event for event in events if isinstance(event, Samples)]
    assert [(event.images.shape, event.columns) for event in samples] == [((16, 8, 8, 1), 4)] * 3
    first = moving(8, 1).sequences(np.arange(2), 4, held_out=True)
    assert all(np.array_equal(event.images.reshape(2, 2, 4, 8, 8, 1)[:, 0], first) for event in samples)
    assert sum(isinstance(event, Quality) for event in events) == 2


def test_images_and_sequences_are_not_taken_for_each_other() -> None:
    with pytest.raises(ConfigError, match=r"'convlstm' is trained on sequences, such as moving:digits"):
        new_run(small_config("convlstm"), digits()[0], None, Runtime())
    with pytest.raises(ConfigError, match=r"'vae' is trained on images"):
        new_run(small_config("vae"), moving(8, 1), None, Runtime())
    with pytest.raises(ConfigError, match=r"'forest' is trained on images"):
        new_run(TrainConfig(preset="forest", image_size=8, channels=1, images=8), moving(8, 1), None, Runtime())
    with pytest.raises(DataError, match="training needs 8 and 1; moving:digits has 12 pixels a side and 1 channels"):
        new_run(small_config("convlstm"), load_sequences("moving:digits", image_size=12), None, Runtime())
