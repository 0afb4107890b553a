"""What the trainer needs of each family of models."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim import Adam

from imagemodels.networks.specs import DecoderSpec
from imagemodels.options import AdversarialOptions, AutoencoderOptions, SharedOptions
from imagemodels.random import step_seed
from imagemodels.runtime import Runtime
from imagemodels.training.config import TrainConfig
from imagemodels.training.stream import Batch


class Task(ABC):
    """Networks, their optimizers, and one training step."""

    networks: Mapping[str, nn.Module]
    optimizers: Mapping[str, Adam]

    def __init__(self, config: TrainConfig, runtime: Runtime) -> None:
        self.config = config
        self.runtime = runtime
        self._random = torch.Generator()

    @property
    @abstractmethod
    def product(self) -> nn.Module:
        """The network that is averaged, sampled and exported."""

    @abstractmethod
    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Update the weights once and return the losses as scalars without a graph, still on the device."""

    def noise(self, batch: Batch, size: int, purpose: str) -> Tensor:
        """Return standard normal noise (N, ``size``) on the device, a function of seed, step and purpose.

        Drawn on the CPU, so that every device trains with the same noise.
        """
        return self.runtime.put(torch.randn(len(batch.images), size, generator=self._seeded(batch, purpose)))

    def uniforms(self, batch: Batch, size: int, purpose: str) -> Tensor:
        """Return uniform noise (N, ``size``) in [0, 1) on the device, drawn as ``noise`` is."""
        return self.runtime.put(torch.rand(len(batch.images), size, generator=self._seeded(batch, purpose)))

    def _seeded(self, batch: Batch, purpose: str) -> torch.Generator:
        return self._random.manual_seed(step_seed(self.config.seed, batch.step, purpose))


def adam(network: nn.Module, options: SharedOptions, learning_rate: float, weight_decay: float = 0.0) -> Adam:
    """Return a fused Adam over the weights of ``network``."""
    return Adam(
        network.parameters(),
        learning_rate,
        betas=(options.beta1, options.beta2),
        weight_decay=weight_decay,
        decoupled_weight_decay=True,
        fused=True,
    )


def descend(optimizer: Adam, loss: Tensor) -> Tensor:
    """Take one step down ``loss`` and return it without its graph."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.detach()


def decoder_spec(config: TrainConfig, options: AdversarialOptions | AutoencoderOptions) -> DecoderSpec:
    """Return what the image-making network of this run is made of."""
    return DecoderSpec(
        image_size=config.image_size,
        channels=config.channels,
        num_classes=config.num_classes,
        latent_size=options.latent_size,
        class_size=options.class_size,
        width=options.width,
        norm=options.norm,
        upsample=options.upsample,
        residual=options.residual,
        initialisation=options.initialisation,
    )
