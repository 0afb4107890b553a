"""What all tasks with a discriminator share."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from imagemodels.networks.architectures import Encoder
from imagemodels.networks.blocks import separate_statistics
from imagemodels.networks.specs import ConvEncoderSpec, MlpEncoderSpec, Pooling
from imagemodels.options import JudgedOptions
from imagemodels.training.config import TrainConfig
from imagemodels.training.optimizer import Optimizer


def judged(discriminator: Encoder, kinds: Sequence[Tensor], labels: Tensor | None) -> Sequence[Tensor]:
    """Return the logits of each kind of images (N, C, S, S), all of them with ``labels`` (N,), from one pass.

    Batch statistics do not mix the kinds: they would tell a mixed batch from a pure one.
    """
    repeated = labels.repeat(len(kinds)) if labels is not None else None
    with separate_statistics(discriminator, len(kinds)):
        logits: Tensor = discriminator(torch.cat(tuple(kinds)), repeated)
    return logits.chunk(len(kinds))


def deceiving(
    discriminator: Encoder, fakes: Sequence[Tensor], labels: Tensor | None, reals: Tensor | None
) -> Sequence[Tensor]:
    """Return the fp32 logits that the generator's loss takes of each kind of fakes (N, C, S, S).

    Where the game is relative they are those of ``fakes`` less those of ``reals`` (N, C, S, S); else ``reals`` is None,
    and not judged at all. The discriminator's weights get no gradient.
    """
    with frozen(discriminator):  # half of its backward pass would be gradients for weights that are not updated here
        if reals is None:
            return [logits.float() for logits in judged(discriminator, fakes, labels)]
        real_logits, *fake_logits = judged(discriminator, (reals, *fakes), labels)
    return [logits.float() - real_logits.float() for logits in fake_logits]


def moved_by(discriminator: nn.Module, optimizer: Optimizer) -> list[Tensor]:
    """What a discriminator's own step changes, before that of the network that it judges."""
    moments = [value for state in optimizer.state.values() for value in state.values()]
    return [*discriminator.parameters(), *moments]


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


def discriminator_spec(config: TrainConfig, options: JudgedOptions) -> ConvEncoderSpec | MlpEncoderSpec:
    """Return what the discriminator of this run is made of."""
    shared: dict[str, Any] = {
        "image_size": config.image_size,
        "channels": config.channels,
        "num_classes": config.num_classes,
        "outputs": 1,
        "width": options.discriminator_width,
        "spectral": options.spectral_norm,
        "initialisation": options.initialisation,
    }
    if options.backbone == "mlp":
        return MlpEncoderSpec(**shared, depth=options.depth)
    pooling: Pooling = "sum" if options.residual else "flatten"
    return ConvEncoderSpec(**shared, norm=options.discriminator_norm, residual=options.residual, pooling=pooling)
