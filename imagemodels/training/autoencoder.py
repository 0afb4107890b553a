"""Training a variational autoencoder."""

from torch import Tensor, nn

from imagemodels.networks.decoder import ConvDecoder
from imagemodels.networks.encoder import ConvEncoder
from imagemodels.networks.specs import EncoderSpec
from imagemodels.objectives import RECONSTRUCTION, bounded_log_variance, kl_beyond, kl_divergence, reparameterised
from imagemodels.options import AutoencoderOptions
from imagemodels.runtime import Runtime
from imagemodels.training.config import TrainConfig
from imagemodels.training.stream import Batch
from imagemodels.training.task import Task, adam, decoder_spec


class AutoencoderTask(Task):
    """Encoder and decoder under one optimizer: together they maximise one bound."""

    def __init__(self, config: TrainConfig, options: AutoencoderOptions, runtime: Runtime) -> None:
        super().__init__(config, runtime)
        self.options = options
        self.encoder = ConvEncoder(encoder_spec(config, options))
        self.decoder = ConvDecoder(decoder_spec(config, options))
        self.networks = {"encoder": self.encoder, "decoder": self.decoder}
        self._both = runtime.place(nn.ModuleDict(self.networks)).train()
        self.optimizers = {"both": adam(self._both, options, options.learning_rate)}

    @property
    def product(self) -> nn.Module:
        """The decoder."""
        return self.decoder

    def step(self, batch: Batch, micro_batch: int | None = None) -> dict[str, Tensor]:
        """Maximise the evidence lower bound; the losses are in nats per image."""
        return self.descend("both", batch.parts(micro_batch or len(batch.images)), self._losses)

    def _losses(self, part: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        noise_NZ = self.noise(part, self.options.latent_size, "posterior")
        with self.runtime.autocast():
            moments = self.encoder(part.images, part.labels)
        mean_NZ, log_variance_NZ = moments.float().chunk(2, dim=1)
        log_variance_NZ = bounded_log_variance(log_variance_NZ)
        with self.runtime.autocast():
            decoded = self.decoder(reparameterised(mean_NZ, log_variance_NZ, noise_NZ), part.labels)
        reconstruction = RECONSTRUCTION[self.options.reconstruction](part.images, decoded)
        divergence = kl_divergence(mean_NZ, log_variance_NZ)
        free = self.options.free_nats
        costly = kl_beyond(mean_NZ, log_variance_NZ, free) if free else divergence
        loss = reconstruction + self._kl_weight(part) * costly
        return loss, {"reconstruction": reconstruction, "kl": divergence}

    def _kl_weight(self, batch: Batch) -> float:
        warmup = self.options.kl_warmup_images
        share = min(1.0, batch.images_seen / warmup) if warmup else 1.0
        return self.options.kl_weight * share


def encoder_spec(config: TrainConfig, options: AutoencoderOptions) -> EncoderSpec:
    """Return what the encoder of this run is made of; it gives mean and log variance."""
    return EncoderSpec(
        image_size=config.image_size,
        channels=config.channels,
        num_classes=config.num_classes,
        outputs=2 * options.latent_size,
        width=options.width,
        feature_size=options.feature_size,
        initialisation=options.initialisation,
    )
