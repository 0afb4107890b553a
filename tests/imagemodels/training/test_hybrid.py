import pytest
import torch

from imagemodels.training.autoencoder import AutoencoderTask
from imagemodels.training.descent import Descent
from imagemodels.training.hybrid import HybridTask, _length_by
from tests.imagemodels.training.test_trainer import SMALL, new_trainer, small_config


def hybrid(**changes: object) -> tuple[Descent, HybridTask]:
    trainer = new_trainer(small_config("vae-gan", overrides=SMALL["vae-gan"] | changes))
    assert isinstance(trainer.task, HybridTask)
    return trainer, trainer.task


def weights(task: AutoencoderTask) -> dict[str, torch.Tensor]:
    both = {"encoder": task.encoder, "decoder": task.decoder}
    return {f"{part} {name}": weight for part, net in both.items() for name, weight in net.named_parameters()}


def test_without_weight_of_the_discriminator_it_is_the_variational_autoencoder() -> None:
    shared = {"kl_warmup_images": 0, "class_size": 8, "learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999}
    judged, task = hybrid(adversarial_weight=0.0, **shared)
    plain = new_trainer(small_config("vae", overrides=SMALL["vae"] | shared))
    assert isinstance(plain.task, AutoencoderTask)
    for step in range(4):
        found = task.step(judged.stream.batch(step))
        expected = plain.task.step(plain.stream.batch(step))
        torch.testing.assert_close(found["reconstruction"], expected["reconstruction"], rtol=1e-4, atol=1e-4)
    for name, weight in weights(plain.task).items():
        torch.testing.assert_close(weights(task)[name], weight, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("adversarial", ["ns", "hinge", "rp"])
def test_both_gradients_by_the_decoded_pixels_are_of_one_length(adversarial: str) -> None:
    trainer, task = hybrid(adversarial=adversarial, kl_weight=0.0)
    part = trainer.stream.batch(0)
    made = task._made(part)
    loss, shown = task._joint_losses(part, made)
    pull = loss - shown["reconstruction"]
    expected = _length_by(shown["reconstruction"], made.decoded)
    torch.testing.assert_close(_length_by(pull, made.decoded), expected, rtol=1e-3, atol=0.0)


@pytest.mark.parametrize(("adversarial", "kinds"), [("hinge", 2), ("rp", 3)])
def test_real_images_are_judged_for_the_joint_step_in_a_relative_game_alone(adversarial: str, kinds: int) -> None:
    trainer, task = hybrid(adversarial=adversarial)
    part = trainer.stream.batch(0)
    made = task._made(part)
    seen: list[int] = []
    task.discriminator.register_forward_pre_hook(lambda _network, inputs: seen.append(len(inputs[0])))
    task._joint_losses(part, made)
    assert seen == [kinds * len(part.images)]


def test_the_joint_step_leaves_the_discriminator_without_gradients() -> None:
    trainer, task = hybrid()
    loss, _shown = task._joint_losses(part := trainer.stream.batch(0), task._made(part))
    torch.autograd.backward(loss)
    assert all(weight.grad is None for weight in task.discriminator.parameters())
    assert all(weight.grad is not None for weight in task.encoder.parameters())


def test_the_discriminators_step_reaches_nothing_else() -> None:
    trainer, task = hybrid()
    part = trainer.stream.batch(0)
    loss, _shown = task._discriminator_losses(part, task._made(part))
    torch.autograd.backward(loss)
    assert all(weight.grad is None for weight in [*task.encoder.parameters(), *task.decoder.parameters()])


def test_the_discriminator_learns_to_tell_what_is_made() -> None:
    trainer, task = hybrid(learning_rate=1e-7, discriminator_learning_rate=2e-3)
    losses = [task.step(trainer.stream.batch(step))["discriminator"].item() for step in range(60)]
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])
