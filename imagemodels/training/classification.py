"""Training a classifier."""

from torch import Tensor, nn
from torch.nn import functional

from imagemodels.networks.encoder import ConvEncoder
from imagemodels.networks.specs import ConvEncoderSpec
from imagemodels.options import ClassifierOptions
from imagemodels.runtime import Runtime
from imagemodels.training.config import TrainConfig
from imagemodels.training.stream import Batch
from imagemodels.training.task import Task, new_optimizer


class ClassifierTask(Task):
    """One encoder whose outputs are the logits of the classes."""

    def __init__(self, config: TrainConfig, options: ClassifierOptions, runtime: Runtime) -> None:
        super().__init__(config, runtime)
        self.encoder = ConvEncoder(classifier_spec(config, options))
        self.networks = {"classifier": self.encoder}
        runtime.place(self.encoder).train()
        self.optimizers = {
            "classifier": new_optimizer(self.encoder, options, options.learning_rate, options.weight_decay)
        }

    @property
    def product(self) -> nn.Module:
        """The classifier itself."""
        return self.encoder

    def step(self, batch: Batch, micro_batch: int | None = None) -> dict[str, Tensor]:
        """Minimise the cross-entropy, in nats per image."""
        return self.descend("classifier", batch.parts(micro_batch or len(batch.images)), self._losses)

    def _losses(self, part: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        assert part.labels is not None  # the stream has refused a classifier without labels
        with self.runtime.autocast():
            logits = self.encoder(part.images)
        loss = functional.cross_entropy(logits.float(), part.labels)
        return loss, {"cross_entropy": loss}


def classifier_spec(config: TrainConfig, options: ClassifierOptions) -> ConvEncoderSpec:
    """Return what the classifier of this run is made of."""
    return ConvEncoderSpec(
        image_size=config.image_size,
        channels=config.channels,
        outputs=config.num_classes,
        width=options.width,
        feature_size=options.feature_size,
    )
