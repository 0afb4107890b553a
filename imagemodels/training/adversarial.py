"""Training a generator against a discriminator."""

import torch
from torch import Tensor, nn

from imagemodels.networks.architectures import new_decoder, new_encoder
from imagemodels.networks.partial import part_of_a_batch
from imagemodels.objectives import ADVERSARIAL, one_centred_penalty, zero_centred_penalty
from imagemodels.options import AdversarialOptions
from imagemodels.runtime import Runtime
from imagemodels.training.augmentation import cut_out, recoloured, translated
from imagemodels.training.config import TrainConfig
from imagemodels.training.discriminating import deceiving, discriminator_spec, judged, moved_by
from imagemodels.training.stream import Batch
from imagemodels.training.task import Task, decoder_spec, new_optimizer


class AdversarialTask(Task):
    """One discriminator step and one generator step, each with its own optimizer and learning rate."""

    def __init__(self, config: TrainConfig, options: AdversarialOptions, runtime: Runtime) -> None:
        super().__init__(config, runtime)
        self.options = options
        self.objective = ADVERSARIAL[options.adversarial]
        self.generator = new_decoder(decoder_spec(config, options))
        self.discriminator = new_encoder(discriminator_spec(config, options))
        self.networks = {"generator": self.generator, "discriminator": self.discriminator}
        for network in self.networks.values():
            runtime.place(network).train()
        self.optimizers = {
            "generator": new_optimizer(self.generator, options, options.learning_rate),
            "discriminator": new_optimizer(self.discriminator, options, options.discriminator_learning_rate),
        }

    @property
    def product(self) -> nn.Module:
        """The generator."""
        return self.generator

    @property
    def changed_early(self) -> list[Tensor]:
        """The buffers, and all of the discriminator: it has moved when the generator's turn comes."""
        return [*super().changed_early, *moved_by(self.discriminator, self.optimizers["discriminator"])]

    def step(self, batch: Batch, micro_batch: int | None = None) -> dict[str, Tensor]:
        """Move the discriminator, then, when it is its turn, the generator against the new discriminator.

        The fakes keep their graph for the generator's step; the discriminator sees them cut off from it. When the
        step is cut, they are made twice instead: the graphs of all parts at once would be those of a whole batch.
        """
        parts = batch.parts(micro_batch or len(batch.images))
        has_turn = (batch.step + 1) % self.options.generator_every == 0
        kept = self._fakes(batch) if len(parts) == 1 and has_turn else None

        def judge(part: Batch) -> tuple[Tensor, dict[str, Tensor]]:
            return self._discriminator_losses(part, self._passing_fakes(part) if kept is None else kept.detach())

        def deceive(part: Batch) -> tuple[Tensor, dict[str, Tensor]]:
            return self._generator_losses(part, self._fakes(part) if kept is None else kept)

        losses = self.descend("discriminator", parts, judge)
        return losses | self.descend("generator", parts, deceive) if has_turn else losses

    def _fakes(self, part: Batch) -> Tensor:
        noise_NZ = self.noise(part, self.options.latent_size, "latents")
        with self.runtime.autocast():
            fakes: Tensor = self.generator(noise_NZ, part.labels)
        return fakes

    def _passing_fakes(self, part: Batch) -> Tensor:
        # They will be made again for the generator's step: only then do its running statistics move.
        with torch.no_grad(), part_of_a_batch([self.generator], 0.0, is_first=False):
            return self._fakes(part)

    def _discriminator_losses(self, part: Batch, fakes: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        reals, fakes = self._augmented(part, part.images, "reals"), self._augmented(part, fakes, "fakes")
        with self.runtime.autocast():
            real_logits, fake_logits = judged(self.discriminator, (reals, fakes), part.labels)
        loss = self.objective.discriminator(real_logits.float(), fake_logits.float())
        if penalty_is_due(part, self.options):
            penalty = self._penalty(part, reals, fakes)
            weight = self.options.penalty_weight * self.options.penalty_every
            return loss + weight * penalty, {"discriminator": loss, "penalty": penalty}
        return loss, {"discriminator": loss}

    def _penalty(self, part: Batch, reals: Tensor, fakes: Tensor) -> Tensor:
        """How steep the discriminator is; in fp32, because it is a gradient, and will be differentiated again."""
        if self.options.penalty == "gp":
            between = torch.lerp(reals, fakes, self.uniforms(part, 1, "between")[:, :, None, None])
            return one_centred_penalty(*self._with_slope(between, part.labels))
        penalty = zero_centred_penalty(*self._with_slope(reals, part.labels))
        if self.options.penalty == "r1r2":
            penalty = penalty + zero_centred_penalty(*self._with_slope(fakes, part.labels))
        return penalty

    def _with_slope(self, images: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        images = images.detach().requires_grad_()
        with part_of_a_batch([self.discriminator], 0.0, is_first=False):  # a second look at images that it has seen
            return self.discriminator(images, labels), images

    def _generator_losses(self, part: Batch, fakes: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        fakes = self._augmented(part, fakes, "generator")
        reals = self._augmented(part, part.images, "reals") if self.objective.relative else None
        with self.runtime.autocast():
            (fake_logits,) = deceiving(self.discriminator, [fakes], part.labels, reals)
        loss = self.objective.generator(fake_logits)
        return loss, {"generator": loss}

    def _augmented(self, batch: Batch, images: Tensor, purpose: str) -> Tensor:
        options = self.options
        if options.recolour:
            images = recoloured(images, self.uniforms(batch, 3, f"{purpose} colours"))
        if options.translation:
            images = translated(images, self.uniforms(batch, 2, purpose), options.translation)
        if options.cutout:
            images = cut_out(images, self.uniforms(batch, 2, f"{purpose} holes"), options.cutout)
        return images


def penalty_is_due(batch: Batch, options: AdversarialOptions) -> bool:
    """Whether this step has a penalty."""
    return options.penalty != "none" and batch.step % options.penalty_every == 0
