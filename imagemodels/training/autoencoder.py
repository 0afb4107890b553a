"""Training a variational autoencoder."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from imagemodels.memory import in_batches_that_fit
from imagemodels.networks.architectures import new_decoder, new_encoder
from imagemodels.networks.prior import LatentDecoder
from imagemodels.networks.specs import ConvEncoderSpec, MlpEncoderSpec
from imagemodels.objectives import RECONSTRUCTION, bounded_log_variance, kl_beyond, kl_divergence, reparameterised
from imagemodels.options import AutoencoderOptions
from imagemodels.pixels import to_float
from imagemodels.random import step_seed
from imagemodels.runtime import Runtime
from imagemodels.training.config import TrainConfig
from imagemodels.training.prior import Encoded, fit
from imagemodels.training.stream import Batch, ImageStream
from imagemodels.training.task import Task, decoder_spec, new_optimizer

PRIOR_IMAGES = 4_000
PRIOR_BATCH = 256


@dataclass(frozen=True, slots=True)
class Posterior:
    """What the encoder says of each image, and a draw from it; (N, Z) each."""

    mean: Tensor
    log_variance: Tensor
    latents: Tensor


class AutoencoderTask(Task):
    """Encoder and decoder under one optimizer: together they maximise one bound."""

    def __init__(self, config: TrainConfig, options: AutoencoderOptions, runtime: Runtime) -> None:
        super().__init__(config, runtime)
        self.options = options
        self.encoder = new_encoder(encoder_spec(config, options))
        self.decoder = new_decoder(decoder_spec(config, options))
        self.networks = {"encoder": self.encoder, "decoder": self.decoder}
        self._both = runtime.place(nn.ModuleDict(self.networks)).train()
        self.optimizers = {"both": new_optimizer(self._both, options, options.learning_rate)}

    @property
    def product(self) -> nn.Module:
        """The decoder."""
        return self.decoder

    @property
    def prior_parts(self) -> int:
        """The Gaussians of each class."""
        return self.options.prior_parts(self.config.num_classes)

    def complete(self, product: LatentDecoder) -> None:
        """Give it room for its prior, and the encoder as it is now: it finds the latents of images to edit."""
        super().complete(product)
        product.use_encoder(deepcopy(self.encoder).eval())

    def fit_prior(self, product: LatentDecoder, stream: ImageStream) -> None:
        """Fit Gaussians to the latents of as many training images as tell enough about them."""
        super().fit_prior(product, stream)
        if product.prior is not None:
            fit(product.prior, self._encoded_part_of(stream))

    def _encoded_part_of(self, stream: ImageStream) -> Encoded:
        generator = torch.Generator().manual_seed(step_seed(self.config.seed, 0, "prior"))
        chosen = torch.randperm(stream.count, generator=generator)[:PRIOR_IMAGES]
        with torch.no_grad(), self.runtime.activated(), _at_rest(self.encoder):
            parts, _size = in_batches_that_fit(
                lambda size: [self._moments(*stream.pictures(part)) for part in torch.split(chosen, size)],
                PRIOR_BATCH,
                "the encoding of images",
                self.runtime.torch_device,
            )
        mean_NZ, log_variance_NZ = torch.cat(parts).chunk(2, dim=1)
        _pixels, labels_N = stream.pictures(chosen)
        return Encoded(mean_NZ, bounded_log_variance(log_variance_NZ).exp(), labels_N)

    def _moments(self, pixels: Tensor, labels: Tensor | None) -> Tensor:
        with self.runtime.autocast():
            moments: Tensor = self.encoder(to_float(pixels), labels)
        return moments.float()

    def step(self, batch: Batch, micro_batch: int | None = None) -> dict[str, Tensor]:
        """Maximise the evidence lower bound; the losses are in nats per image."""
        return self.descend("both", batch.parts(micro_batch or len(batch.images)), self._losses)

    def _losses(self, part: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        posterior = self.encoded(part)
        with self.runtime.autocast():
            decoded = self.decoder(posterior.latents, part.labels)
        return self.bound(part, posterior, decoded)

    def encoded(self, part: Batch) -> Posterior:
        """Encode the images, and draw a latent vector for each."""
        with self.runtime.autocast():
            moments = self.encoder(part.images, part.labels)
        mean_NZ, log_variance_NZ = moments.float().chunk(2, dim=1)
        log_variance_NZ = bounded_log_variance(log_variance_NZ)
        noise_NZ = self.noise(part, self.options.latent_size, "posterior")
        return Posterior(mean_NZ, log_variance_NZ, reparameterised(mean_NZ, log_variance_NZ, noise_NZ))

    def bound(self, part: Batch, posterior: Posterior, decoded: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the negative evidence lower bound, as it is weighted now, and its parts."""
        reconstruction = RECONSTRUCTION[self.options.reconstruction](part.images, decoded)
        divergence = kl_divergence(posterior.mean, posterior.log_variance)
        free = self.options.free_nats
        costly = kl_beyond(posterior.mean, posterior.log_variance, free) if free else divergence
        loss = reconstruction + self._kl_weight(part) * costly
        return loss, {"reconstruction": reconstruction, "kl": divergence}

    def _kl_weight(self, batch: Batch) -> float:
        warmup = self.options.kl_warmup_images
        share = min(1.0, batch.images_seen / warmup) if warmup else 1.0
        return self.options.kl_weight * share


@contextmanager
def _at_rest(network: nn.Module) -> Iterator[None]:
    """Let a network in training look at images without learning anything about them."""
    network.eval()
    try:
        yield
    finally:
        network.train()


def encoder_spec(config: TrainConfig, options: AutoencoderOptions) -> ConvEncoderSpec | MlpEncoderSpec:
    """Return what the encoder of this run is made of; it gives mean and log variance."""
    shared: dict[str, Any] = {
        "image_size": config.image_size,
        "channels": config.channels,
        "num_classes": config.num_classes,
        "outputs": 2 * options.latent_size,
        "width": options.width,
        "initialisation": options.initialisation,
    }
    if options.backbone == "mlp":
        return MlpEncoderSpec(**shared, depth=options.depth)
    return ConvEncoderSpec(**shared, feature_size=options.feature_size)
