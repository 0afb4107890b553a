"""Training a network on sequences, by gradients."""

from torch import nn

from imagemodels.data.moving import SequenceDataset
from imagemodels.evaluation.sequences import held_out_error, strips
from imagemodels.networks.sequence import SequencePredictor
from imagemodels.prediction import Predictor
from imagemodels.runtime import Runtime
from imagemodels.training.config import TrainConfig
from imagemodels.training.descent import Descent
from imagemodels.training.events import Samples
from imagemodels.training.ranks import Ranks
from imagemodels.training.sequence_stream import SequenceStream


class SequenceTrainer(Descent):
    """Trains the preset of ``config`` on the training sequences of ``data``, measured by the error on held-out ones.

    Raises DataError when the sequences do not fit the configuration, and ConfigError when the preset learns from
    images.
    """

    stream: SequenceStream

    def __init__(
        self, config: TrainConfig, data: SequenceDataset, runtime: Runtime, ranks: Ranks | None = None
    ) -> None:
        super().__init__(config, runtime, SequenceStream(config, data, runtime), ranks=ranks)

    @property
    def _is_measurable(self) -> bool:
        return True

    def _samples(self, network: nn.Module) -> Samples:
        stream = self.stream
        rows = strips(self._predicting(network), stream.data, stream.frames, self.config.sample_count)
        return Samples(self.images_seen, rows, columns=stream.frames)

    def _measure(self, network: nn.Module) -> float:
        return held_out_error(self._predicting(network), self.stream.data, self.stream.frames)

    def _predicting(self, network: nn.Module) -> Predictor:
        assert isinstance(network, SequencePredictor)
        return Predictor(network, self.runtime)
