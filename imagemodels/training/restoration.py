"""Training a network that makes whole images of damaged ones."""

import torch
from torch import Tensor, nn

from imagemodels.degradations import Damaged, Draws, degraded
from imagemodels.networks.restoration_specs import RestorerSpec
from imagemodels.networks.unet import UNet
from imagemodels.objectives import RECONSTRUCTION
from imagemodels.options import RestorationOptions
from imagemodels.runtime import Runtime
from imagemodels.training.config import TrainConfig
from imagemodels.training.stream import Batch
from imagemodels.training.task import Task, new_optimizer


class RestorationTask(Task):
    """One network, whose error on images that are damaged anew in each step is lowered."""

    def __init__(self, config: TrainConfig, options: RestorationOptions, runtime: Runtime) -> None:
        super().__init__(config, runtime)
        self.options = options
        self.damage = options.damage
        self.restorer = UNet(restorer_spec(config, options))
        self.networks = {"restorer": self.restorer}
        runtime.place(self.restorer).train()
        self.optimizers = {"restorer": new_optimizer(self.restorer, options, options.learning_rate)}

    @property
    def product(self) -> nn.Module:
        """The network itself."""
        return self.restorer

    def step(self, batch: Batch, micro_batch: int | None = None) -> dict[str, Tensor]:
        """Lower the error of the restored images."""
        return self.descend("restorer", batch.parts(micro_batch or len(batch.images)), self._losses)

    def _losses(self, part: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        loss = self.reconstruction(part, self.restored(self.damaged(part)))
        return loss, {"reconstruction": loss}

    def damaged(self, part: Batch) -> Damaged:
        """The images to learn from: those given beside the true ones, or these damaged, by seed and step."""
        if part.given is not None:
            return Damaged(part.given)
        draws = Draws(
            normals=lambda size, purpose: self.noise(part, size, purpose),
            uniforms=lambda size, purpose: self.uniforms(part, size, purpose),
        )
        with torch.no_grad():
            return degraded(part.images, self.damage, draws)

    def restored(self, damaged: Damaged) -> Tensor:
        """What the network makes of damaged images: (N, C, S, S), float32, with its graph."""
        with self.runtime.autocast():
            made: Tensor = self.restorer(damaged.images, damaged.holes)
        return made.float()

    def reconstruction(self, part: Batch, restored: Tensor) -> Tensor:
        """How far restored images are from the true ones, summed over the values of an image."""
        return RECONSTRUCTION[self.options.reconstruction](part.images, restored)


def restorer_spec(config: TrainConfig, options: RestorationOptions) -> RestorerSpec:
    """Return what the network of this run is made of."""
    return RestorerSpec(
        image_size=config.image_size,
        channels=config.channels,
        width=options.width,
        halvings=options.halvings,
        blocks=options.blocks,
        skips=options.skips,
        residual=options.residual,
        degradation=options.damage,
    )
