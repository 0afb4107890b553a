"""Training a variational autoencoder together with a discriminator (Larsen et al., arXiv 1512.09300)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from imagemodels.networks.architectures import new_encoder
from imagemodels.networks.blocks import separate_statistics
from imagemodels.networks.partial import part_of_a_batch
from imagemodels.objectives import ADVERSARIAL
from imagemodels.options import HybridOptions
from imagemodels.runtime import Runtime
from imagemodels.training.autoencoder import AutoencoderTask, Posterior
from imagemodels.training.config import TrainConfig
from imagemodels.training.discriminating import deceiving, discriminator_spec, judged, moved_by
from imagemodels.training.stream import Batch
from imagemodels.training.task import new_optimizer

SMALLEST_SLOPE = 1e-8


@dataclass(frozen=True, slots=True)
class Made:
    """What the decoder makes in one step: of the images' latents, and of latents drawn from the prior."""

    posterior: Posterior
    decoded: Tensor
    dreamt: Tensor


class HybridTask(AutoencoderTask):
    """One step of the discriminator, then one of encoder and decoder, which are to please it as well.

    The discriminator sees real, decoded and dreamt images. Its gradient is made as long as that of the reconstruction
    by the decoded pixels, times a weight (as in Esser et al., arXiv 2012.09841, eq. 7): the two losses have no
    common unit, and their scales move apart as the images get better.
    """

    options: HybridOptions

    def __init__(self, config: TrainConfig, options: HybridOptions, runtime: Runtime) -> None:
        super().__init__(config, options, runtime)
        self.objective = ADVERSARIAL[options.adversarial]
        self.discriminator = new_encoder(discriminator_spec(config, options))
        runtime.place(self.discriminator).train()
        self.networks = {**self.networks, "discriminator": self.discriminator}
        judge = new_optimizer(self.discriminator, options, options.discriminator_learning_rate)
        self.optimizers = {**self.optimizers, "discriminator": judge}

    @property
    def changed_early(self) -> list[Tensor]:
        """The buffers, and all of the discriminator: it has moved when the turn of the others comes."""
        return [*super().changed_early, *moved_by(self.discriminator, self.optimizers["discriminator"])]

    def step(self, batch: Batch, micro_batch: int | None = None) -> dict[str, Tensor]:
        """Move the discriminator, then encoder and decoder against the new discriminator.

        As for a GAN, what is made keeps its graph for the second half, unless the step is cut.
        """
        parts = batch.parts(micro_batch or len(batch.images))
        kept = self._made(batch) if len(parts) == 1 else None

        def judge(part: Batch) -> tuple[Tensor, dict[str, Tensor]]:
            return self._discriminator_losses(part, self._made_in_passing(part) if kept is None else kept)

        def improve(part: Batch) -> tuple[Tensor, dict[str, Tensor]]:
            return self._joint_losses(part, self._made(part) if kept is None else kept)

        return self.descend("discriminator", parts, judge) | self.descend("both", parts, improve)

    def _made(self, part: Batch) -> Made:
        posterior = self.encoded(part)
        prior_NZ = self.noise(part, self.options.latent_size, "prior")
        labels = torch.cat((part.labels, part.labels)) if part.labels is not None else None
        with self.runtime.autocast(), separate_statistics(self.decoder, 2):
            decoded, dreamt = self.decoder(torch.cat((posterior.latents, prior_NZ)), labels).chunk(2)
        return Made(posterior, decoded, dreamt)

    def _made_in_passing(self, part: Batch) -> Made:
        # It will be made again for the second half: only then do running statistics move.
        with torch.no_grad(), part_of_a_batch([self.encoder, self.decoder], 0.0, is_first=False):
            return self._made(part)

    def _discriminator_losses(self, part: Batch, made: Made) -> tuple[Tensor, dict[str, Tensor]]:
        kinds = (part.images, made.decoded.detach(), made.dreamt.detach())
        with self.runtime.autocast():
            real, decoded, dreamt = judged(self.discriminator, kinds, part.labels)
        fakes = (decoded.float(), dreamt.float())
        loss = torch.stack([self.objective.discriminator(real.float(), fake) for fake in fakes]).mean()
        return loss, {"discriminator": loss}

    def _joint_losses(self, part: Batch, made: Made) -> tuple[Tensor, dict[str, Tensor]]:
        bound, shown = self.bound(part, made.posterior, made.decoded)
        reals = part.images if self.objective.relative else None
        with self.runtime.autocast():
            fakes = deceiving(self.discriminator, (made.decoded, made.dreamt), part.labels, reals)
        deceit = torch.stack([self.objective.generator(fake) for fake in fakes]).mean()
        balance = _length_by(shown["reconstruction"], made.decoded) / _length_by(deceit, made.decoded)
        return bound + self.options.adversarial_weight * balance * deceit, {**shown, "generator": deceit}


def _length_by(loss: Tensor, images: Tensor) -> Tensor:
    """The length of the gradient of ``loss`` by ``images``, as a number without a graph."""
    (gradient,) = torch.autograd.grad(loss, images, retain_graph=True)
    length: Tensor = gradient.norm().clamp_min(SMALLEST_SLOPE)
    return length
