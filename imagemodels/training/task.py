"""What the trainer needs of each family of models."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from imagemodels.networks.partial import part_of_a_batch
from imagemodels.networks.prior import LatentDecoder
from imagemodels.networks.specs import ConvDecoderSpec, MlpDecoderSpec
from imagemodels.options import DecoderOptions, DescentOptions
from imagemodels.random import step_seed
from imagemodels.runtime import Runtime
from imagemodels.training.adam import Adam
from imagemodels.training.config import TrainConfig
from imagemodels.training.optimizer import Optimizer
from imagemodels.training.ranks import Ranks
from imagemodels.training.sgd import Sgd
from imagemodels.training.stream import Batch, ImageStream


class Task(ABC):
    """Networks, their optimizers, and one training step.

    A step may be cut into parts, whose gradients are added up with the weights of their sizes. The result is that of
    the undivided step up to the order of the sums, except where a batch is more than the sum of its images: a batch
    norm takes the statistics of each part, the ``sigma`` reconstruction its error, free nats its divergence, and a
    hybrid the balance of its losses.
    The same holds for the shares of the ranks, where several take the step together.
    """

    networks: Mapping[str, nn.Module]
    optimizers: Mapping[str, Optimizer]

    def __init__(self, config: TrainConfig, runtime: Runtime) -> None:
        self.config = config
        self.runtime = runtime
        self.seed = config.seed
        self.ranks = Ranks()
        self._gradient_clip = config.descent.gradient_clip
        self._random = torch.Generator()
        self._drawn: dict[str, tuple[int, Tensor]] = {}

    @property
    @abstractmethod
    def product(self) -> nn.Module:
        """The network that is averaged, sampled and exported."""

    @abstractmethod
    def step(self, batch: Batch, micro_batch: int | None = None) -> dict[str, Tensor]:
        """Update the weights once and return the losses as scalars without a graph, still on the device.

        At most ``micro_batch`` images are in the networks at a time; None: all of them.
        """

    @property
    def prior_parts(self) -> int:
        """How many Gaussians ``fit_prior`` fits for each class; 0: latents stay standard normal."""
        return 0

    def complete(self, product: LatentDecoder) -> None:
        """Give a copy of the product what it has in use beside its averaged weights: here, room for its prior."""
        product.use_prior(self.prior_parts)

    def fit_prior(self, product: LatentDecoder, stream: ImageStream) -> None:  # noqa: ARG002  it is for encoders
        """Let a copy of the product draw its latents where those of the training images lie, if that is known."""
        self.complete(product)

    @property
    def changed_early(self) -> list[Tensor]:
        """What a step changes before its last optimizer step: all buffers, and weights that have moved by then."""
        return [buffer for network in self.networks.values() for buffer in network.buffers()]

    @property
    def statistics(self) -> list[Tensor]:
        """The running statistics of all batch norms."""
        layers = [layer for network in self.networks.values() for layer in network.modules()]
        norms = [layer for layer in layers if isinstance(layer, nn.BatchNorm2d)]
        found = [tensor for norm in norms for tensor in (norm.running_mean, norm.running_var)]
        return [tensor for tensor in found if tensor is not None]

    def noise(self, batch: Batch, size: int, purpose: str) -> Tensor:
        """Return standard normal noise (N, ``size``) on the device, a function of seed, step and purpose.

        Drawn on the CPU, so that every device trains with the same noise, and for the whole step, so that every
        image has the same noise however the step is cut.
        """
        return self._rows_of(batch, purpose, lambda random: torch.randn(batch.step_images, size, generator=random))

    def uniforms(self, batch: Batch, size: int, purpose: str) -> Tensor:
        """Return uniform noise (N, ``size``) in [0, 1) on the device, drawn as ``noise`` is."""
        return self._rows_of(batch, purpose, lambda random: torch.rand(batch.step_images, size, generator=random))

    def _rows_of(self, batch: Batch, purpose: str, draw: Callable[[torch.Generator], Tensor]) -> Tensor:
        seed = step_seed(self.seed, batch.step, purpose)
        drawn = self._drawn.get(purpose)
        if drawn is None or drawn[0] != seed:  # the other parts of this step find it drawn
            drawn = seed, self.runtime.put(draw(self._random.manual_seed(seed)))
            self._drawn[purpose] = drawn
        return drawn[1][batch.rows]

    def descend(
        self, optimizer: str, parts: Sequence[Batch], losses_of: Callable[[Batch], tuple[Tensor, dict[str, Tensor]]]
    ) -> dict[str, Tensor]:
        """Take one step of an optimizer down the mean loss of ``parts``, and of those of the other ranks.

        ``losses_of`` gives the loss of a part, with its graph, and what is to be shown; returned are the means of
        what is shown.
        """
        mover = self.optimizers[optimizer]
        mover.drop_gradients()
        means: dict[str, Tensor] = {}
        own_images = sum(len(part.images) for part in parts)
        for number, part in enumerate(parts):
            with self._as_part(len(part.images) / own_images, is_first=number == 0):
                loss, shown = losses_of(part)
            torch.autograd.backward(_shared(loss, part))
            for name, value in shown.items():
                weighted = _shared(value.detach(), part)
                means[name] = means[name] + weighted if name in means else weighted
        if self.ranks.count > 1:
            mover.make_moments()  # what can run out of memory does so before the others move
            self.ranks.add_up([*mover.gradients, *means.values()])
        if self._gradient_clip:
            mover.clip_gradients(self._gradient_clip)
        mover.step()
        return means

    def _as_part(self, share: float, *, is_first: bool) -> AbstractContextManager[None]:
        """Let running statistics move by a share of what this rank sees in the step."""
        if share == 1.0:
            return nullcontext()
        return part_of_a_batch(self.networks.values(), share, is_first=is_first)


def _shared(value: Tensor, part: Batch) -> Tensor:
    return value if part.share == 1.0 else value * part.share


def new_optimizer(
    network: nn.Module, options: DescentOptions, learning_rate: float, weight_decay: float = 0.0
) -> Optimizer:
    """Return the optimizer of the options for the weights of ``network``."""
    if options.optimizer == "sgd":
        return Sgd(network.parameters(), learning_rate, momentum=options.momentum, weight_decay=weight_decay)
    betas = (options.beta1, options.beta2)
    return Adam(network.parameters(), learning_rate, betas=betas, weight_decay=weight_decay)


def decoder_spec(config: TrainConfig, options: DecoderOptions) -> ConvDecoderSpec | MlpDecoderSpec:
    """Return what the image-making network of this run is made of."""
    shared: dict[str, Any] = {
        "image_size": config.image_size,
        "channels": config.channels,
        "num_classes": config.num_classes,
        "latent_size": options.latent_size,
        "class_size": options.class_size,
        "width": options.width,
        "initialisation": options.initialisation,
    }
    if options.backbone == "mlp":
        return MlpDecoderSpec(**shared, depth=options.depth)
    return ConvDecoderSpec(**shared, norm=options.norm, upsample=options.upsample, residual=options.residual)
