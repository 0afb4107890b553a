"""How fast a DCGAN trains beside the plain loop, and that both compute the same.

    python -m benchmarks.train_speed --steps 12 --json speed.json

The contenders take turns step by step, so that a busy machine slows all of them alike; medians are compared.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.reference_dcgan import ReferenceTrainer, reference_discriminator, reference_generator
from imagemodels.networks.decoder import ConvDecoder
from imagemodels.networks.encoder import ConvEncoder
from imagemodels.pixels import to_uint8
from imagemodels.runtime import Runtime
from imagemodels.training.adversarial import AdversarialTask
from imagemodels.training.config import TrainConfig
from imagemodels.training.events import Step
from imagemodels.training.trainer import Trainer

BATCH = 64
LATENT_SIZE = 100
CHANNELS = 3
WARM_UP_STEPS = 2
COMPARED_STEPS = 4
FIRST_STEP_TOLERANCE = 1e-3  # relative; only the order of fp32 sums differs
LATER_STEP_TOLERANCE = 2e-2  # relative; Adam's first step turns rounding errors of tiny gradients into whole steps


@dataclass
class Contender:
    """A training loop and what was measured of it."""

    name: str
    step: Callable[[], None]
    seconds: list[float] = field(default_factory=list)

    @property
    def images_per_second(self) -> float:
        return BATCH / statistics.median(self.seconds)

    def figures(self, baseline_images_per_second: float) -> dict[str, float]:
        return {
            "median_step_milliseconds": round(1000 * statistics.median(self.seconds), 1),
            "images_per_second": round(self.images_per_second, 1),
            "ratio": round(self.images_per_second / baseline_images_per_second, 3),
        }


def new_trainer(images: Tensor, precision: str) -> Trainer:
    config = TrainConfig(
        preset="dcgan", image_size=64, channels=CHANNELS, images=10**9, batch_size=BATCH, precision=precision
    )
    return Trainer(config, images, None, Runtime())


def reference_like(trainer: Trainer) -> ReferenceTrainer:
    """Return the plain loop, its networks with the weights of ``trainer``."""
    task = adversarial_task(trainer)
    generator = reference_generator(task.options.latent_size, task.options.width, CHANNELS)
    discriminator = reference_discriminator(task.options.discriminator_width, CHANNELS)
    assert isinstance(task.generator, ConvDecoder)
    assert isinstance(task.discriminator, ConvEncoder)
    copy_weights(generator_weights(task.generator), generator)
    copy_weights(discriminator_weights(task.discriminator), discriminator)
    return ReferenceTrainer(generator, discriminator)


def adversarial_task(trainer: Trainer) -> AdversarialTask:
    assert isinstance(trainer.task, AdversarialTask)
    return trainer.task


def generator_weights(network: ConvDecoder) -> list[Tensor]:
    """The weights in the reference's order, the linear layer as the transposed convolution that it stands for."""
    project, *rest = _ordered(network, first="project")
    return [project.view(4, 4, network.base_width, -1).permute(3, 2, 0, 1), *rest]


def discriminator_weights(network: ConvEncoder) -> list[Tensor]:
    """The weights in the reference's order, the linear head as the 4×4 convolution that it stands for."""
    *rest, head, bias = _ordered(network, first="stages")
    return [*rest, head.view(1, 4, 4, -1).permute(0, 3, 1, 2), bias]


def _ordered(network: nn.Module, first: str) -> list[Tensor]:
    """Weights in the order of the forward pass: the layers called ``first``, the first norm, then as registered."""
    named = [(name, weight.detach()) for name, weight in network.named_parameters()]
    rank = {first: 0, "norm": 1}
    return [weight for _, weight in sorted(named, key=lambda pair: rank.get(pair[0].split(".")[0], 2))]


def copy_weights(weights: list[Tensor], target: nn.Module) -> None:
    for weight, parameter in zip(weights, target.parameters(), strict=True):
        parameter.data.copy_(weight)


def trainer_contender(name: str, trainer: Trainer) -> Contender:
    events = trainer.run()

    def step() -> None:
        while not isinstance(next(events), Step):
            pass

    return Contender(name, step)


def reference_contender(reference: ReferenceTrainer, images: Tensor) -> Contender:
    def step() -> None:
        chosen = torch.randint(len(images), (BATCH,))
        reference.step(images[chosen], torch.randn(BATCH, LATENT_SIZE))

    return Contender("plain loop fp32", step)


def measure(contenders: list[Contender], steps: int) -> None:
    for number in range(WARM_UP_STEPS + steps):
        for contender in contenders:
            started = time.perf_counter()
            contender.step()
            if number >= WARM_UP_STEPS:
                contender.seconds.append(time.perf_counter() - started)


def loss_differences(trainer: Trainer) -> list[float]:
    """Return the largest relative difference of the losses in each step.

    Both train in fp32 on the same batches and noise from the same weights.
    """
    task, reference = adversarial_task(trainer), reference_like(trainer)
    differences = []
    for number in range(COMPARED_STEPS):
        batch = trainer.stream.batch(number)
        theirs = reference.step(to_uint8(batch.images), task.noise(batch, task.options.latent_size, "latents"))
        losses = task.step(batch)
        ours = (float(losses["discriminator"]), float(losses["generator"]))
        differences.append(max(abs(a - b) / abs(b) for a, b in zip(ours, theirs, strict=True)))
    return differences


def are_equal(differences: list[float]) -> bool:
    return differences[0] <= FIRST_STEP_TOLERANCE and max(differences) <= LATER_STEP_TOLERANCE


def report(contenders: list[Contender], differences: list[float]) -> dict[str, object]:
    baseline = contenders[0].images_per_second
    return {
        "task": f"DCGAN 64x64 RGB, batch {BATCH}, {torch.get_num_threads()} CPU threads, torch {torch.__version__}",
        "steps": len(contenders[0].seconds),
        "contenders": {entry.name: entry.figures(baseline) for entry in contenders},
        "relative_loss_difference_by_step": differences,
        "losses_equal": are_equal(differences),
    }


def print_table(result: dict[str, object], contenders: list[Contender]) -> None:
    print(result["task"])
    for entry in contenders:
        figures = entry.figures(contenders[0].images_per_second)
        row = "{median_step_milliseconds:8.1f} ms/step {images_per_second:8.1f} images/s {ratio:6.2f}x"
        print(f"{entry.name:18}", row.format(**figures))
    print(f"losses equal in fp32: {result['losses_equal']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=12, help="measured steps of each contender")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    images = torch.randint(0, 256, (512, CHANNELS, 64, 64), dtype=torch.uint8)
    trainer = new_trainer(images, "fp32")
    contenders = [
        reference_contender(reference_like(trainer), images),
        trainer_contender("imagemodels fp32", trainer),
        trainer_contender("imagemodels bf16", new_trainer(images, "bf16")),
    ]
    measure(contenders, arguments.steps)
    result = report(contenders, loss_differences(new_trainer(images, "fp32")))
    print_table(result, contenders)
    print(json.dumps(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
