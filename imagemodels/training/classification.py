"""Training a classifier."""

from torch import Tensor, nn
from torch.nn import functional

from imagemodels.networks.encoder import ConvEncoder
from imagemodels.networks.specs import EncoderSpec
from imagemodels.options import ClassifierOptions
from imagemodels.runtime import Runtime
from imagemodels.training.config import TrainConfig
from imagemodels.training.stream import Batch
from imagemodels.training.task import Task, adam, descend


class ClassifierTask(Task):
    """One encoder whose outputs are the logits of the classes."""

    def __init__(self, config: TrainConfig, options: ClassifierOptions, runtime: Runtime) -> None:
        super().__init__(config, runtime)
        self.encoder = ConvEncoder(classifier_spec(config, options))
        self.networks = {"classifier": self.encoder}
        runtime.place(self.encoder).train()
        self.optimizers = {"classifier": adam(self.encoder, options, options.learning_rate, options.weight_decay)}

    @property
    def product(self) -> nn.Module:
        """The classifier itself."""
        return self.encoder

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Minimise the cross-entropy, in nats per image."""
        assert batch.labels is not None  # the stream has refused a classifier without labels
        with self.runtime.autocast():
            logits = self.encoder(batch.images)
        loss = functional.cross_entropy(logits.float(), batch.labels)
        return {"cross_entropy": descend(self.optimizers["classifier"], loss)}


def classifier_spec(config: TrainConfig, options: ClassifierOptions) -> EncoderSpec:
    """Return what the classifier of this run is made of."""
    return EncoderSpec(
        image_size=config.image_size,
        channels=config.channels,
        outputs=config.num_classes,
        width=options.width,
        feature_size=options.feature_size,
    )
