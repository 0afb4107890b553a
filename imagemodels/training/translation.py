"""Training a network from images to images against a discriminator of patches."""

import torch
from torch import Tensor

from imagemodels.degradations import Damaged
from imagemodels.networks.patch_judge import PatchJudge
from imagemodels.networks.restoration_specs import PatchJudgeSpec
from imagemodels.objectives import ADVERSARIAL, per_value
from imagemodels.options import TranslationOptions
from imagemodels.runtime import Runtime
from imagemodels.training.config import TrainConfig
from imagemodels.training.discriminating import frozen, moved_by
from imagemodels.training.restoration import RestorationTask
from imagemodels.training.stream import Batch
from imagemodels.training.task import new_optimizer


class TranslationTask(RestorationTask):
    """One step of the discriminator, then one of the network that it judges (Isola et al., arXiv 1611.07004).

    The network draws nothing: the paper's dropout, its only source of chance, changed its images little.
    """

    options: TranslationOptions

    def __init__(self, config: TrainConfig, options: TranslationOptions, runtime: Runtime) -> None:
        super().__init__(config, options, runtime)
        self.objective = ADVERSARIAL[options.adversarial]
        self.discriminator = PatchJudge(
            PatchJudgeSpec(
                channels=config.channels,
                width=options.discriminator_width,
                halvings=options.patch_halvings,
                spectral=options.spectral_norm,
            )
        )
        runtime.place(self.discriminator).train()
        self.networks = {**self.networks, "discriminator": self.discriminator}
        rate = options.discriminator_learning_rate
        self.optimizers = {**self.optimizers, "discriminator": new_optimizer(self.discriminator, options, rate)}

    @property
    def changed_early(self) -> list[Tensor]:
        """The buffers, and all of the discriminator: it has moved when the other network's turn comes."""
        return [*super().changed_early, *moved_by(self.discriminator, self.optimizers["discriminator"])]

    def step(self, batch: Batch, micro_batch: int | None = None) -> dict[str, Tensor]:
        """Move the discriminator, then the network against the new discriminator.

        Of an undivided step the images made for the one serve the other too, as in `AdversarialTask`.
        """
        parts = batch.parts(micro_batch or len(batch.images))
        damaged = {part.first: self.damaged(part) for part in parts}
        kept = self.restored(damaged[batch.first]) if len(parts) == 1 else None

        def judge(part: Batch) -> tuple[Tensor, dict[str, Tensor]]:
            given = damaged[part.first]
            return self._discriminator_losses(part, given, self._passing(given) if kept is None else kept.detach())

        def deceive(part: Batch) -> tuple[Tensor, dict[str, Tensor]]:
            given = damaged[part.first]
            return self._restorer_losses(part, given, self.restored(given) if kept is None else kept)

        losses = self.descend("discriminator", parts, judge)
        return losses | self.descend("restorer", parts, deceive)

    def _passing(self, given: Damaged) -> Tensor:
        with torch.no_grad():
            return self.restored(given)

    def _discriminator_losses(self, part: Batch, given: Damaged, made: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        with self.runtime.autocast():
            logits = self.discriminator(given.images.repeat(2, 1, 1, 1), torch.cat((part.images, made)))
        true_logits, made_logits = logits.float().chunk(2)
        loss = self.objective.discriminator(true_logits, made_logits)
        return loss, {"discriminator": loss}

    def _restorer_losses(self, part: Batch, given: Damaged, made: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        with self.runtime.autocast(), frozen(self.discriminator):
            logits = self.discriminator(given.images, made)
        deceived = self.objective.generator(logits.float())
        error = per_value(self.reconstruction(part, made), part.images)
        loss = deceived + self.options.reconstruction_weight * error
        return loss, {"generator": deceived, "reconstruction": error}
