"""Training a generator against a discriminator."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from imagemodels.networks.blocks import separate_statistics
from imagemodels.networks.decoder import ConvDecoder
from imagemodels.networks.encoder import ConvEncoder
from imagemodels.networks.specs import EncoderSpec
from imagemodels.objectives import ADVERSARIAL
from imagemodels.options import AdversarialOptions
from imagemodels.runtime import Runtime
from imagemodels.training.augmentation import translated
from imagemodels.training.config import TrainConfig
from imagemodels.training.stream import Batch
from imagemodels.training.task import Task, adam, decoder_spec, descend


class AdversarialTask(Task):
    """One discriminator step and one generator step, each with its own optimizer and learning rate."""

    def __init__(self, config: TrainConfig, options: AdversarialOptions, runtime: Runtime) -> None:
        super().__init__(config, runtime)
        self.options = options
        self.objective = ADVERSARIAL[options.adversarial]
        self.generator = ConvDecoder(decoder_spec(config, options))
        self.discriminator = ConvEncoder(discriminator_spec(config, options))
        self.networks = {"generator": self.generator, "discriminator": self.discriminator}
        for network in self.networks.values():
            runtime.place(network).train()
        self.optimizers = {
            "generator": adam(self.generator, options, options.learning_rate),
            "discriminator": adam(self.discriminator, options, options.discriminator_learning_rate),
        }

    @property
    def product(self) -> nn.Module:
        """The generator."""
        return self.generator

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Move the discriminator, then the generator against the new discriminator.

        The fakes keep their graph for the generator's step; the discriminator sees them cut off from it.
        """
        noise_NZ = self.noise(batch, self.options.latent_size, "latents")
        with self.runtime.autocast():
            fakes = self.generator(noise_NZ, batch.labels)
        losses = {"discriminator": self._discriminator_step(batch, fakes.detach())}
        losses["generator"] = self._generator_step(batch, fakes)
        return losses

    def _discriminator_step(self, batch: Batch, fakes: Tensor) -> Tensor:
        reals, fakes = self._shifted(batch, batch.images, "reals"), self._shifted(batch, fakes, "fakes")
        with self.runtime.autocast():
            real_logits, fake_logits = self._judged(reals, fakes, batch.labels)
        loss = self.objective.discriminator(real_logits.float(), fake_logits.float())
        return descend(self.optimizers["discriminator"], loss)

    def _judged(self, reals: Tensor, fakes: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        both = torch.cat((labels, labels)) if labels is not None else None
        # Batch statistics must not mix the two kinds: they would tell a mixed batch from a pure one.
        with separate_statistics(self.discriminator, 2):
            real_logits, fake_logits = self.discriminator(torch.cat((reals, fakes)), both).chunk(2)
        return real_logits, fake_logits

    def _generator_step(self, batch: Batch, fakes: Tensor) -> Tensor:
        fakes = self._shifted(batch, fakes, "generator")
        # Half of the discriminator's backward pass is gradients for weights that are not updated here.
        with frozen(self.discriminator), self.runtime.autocast():
            fake_logits = self.discriminator(fakes, batch.labels)
        return descend(self.optimizers["generator"], self.objective.generator(fake_logits.float()))

    def _shifted(self, batch: Batch, images: Tensor, purpose: str) -> Tensor:
        if not self.options.translation:
            return images
        return translated(images, self.uniforms(batch, 2, purpose), self.options.translation)


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Let gradients pass through ``network`` within the context, but give none to its weights."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def discriminator_spec(config: TrainConfig, options: AdversarialOptions) -> EncoderSpec:
    """Return what the discriminator of this run is made of."""
    return EncoderSpec(
        image_size=config.image_size,
        channels=config.channels,
        num_classes=config.num_classes,
        outputs=1,
        width=options.discriminator_width,
        norm=options.discriminator_norm,
        spectral=options.spectral_norm,
        residual=options.residual,
        pooling="sum" if options.residual else "flatten",
        initialisation=options.initialisation,
    )
