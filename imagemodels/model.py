"""What a trained network is used through, whichever it is."""

from torch import nn

from imagemodels.classifier import Classifier
from imagemodels.codec import Codec
from imagemodels.networks.architectures import Decoder, Encoder
from imagemodels.networks.fsq import FsqAutoencoder
from imagemodels.networks.sequence import SequencePredictor
from imagemodels.networks.unet import UNet
from imagemodels.prediction import Predictor
from imagemodels.restoration import Restorer
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator

Model = Generator | Predictor | Classifier | Codec | Restorer


def model_of(network: nn.Module, runtime: Runtime, batch_size: int | None = None) -> Model:
    """Return what uses ``network``; ``batch_size`` is that of a Generator, Predictor or Restorer."""
    if isinstance(network, Decoder):
        return Generator(network, runtime, batch_size)
    if isinstance(network, SequencePredictor):
        return Predictor(network, runtime, batch_size)
    if isinstance(network, UNet):
        return Restorer(network, runtime, batch_size)
    if isinstance(network, FsqAutoencoder):
        return Codec(network, runtime)
    assert isinstance(network, Encoder)
    return Classifier(network, runtime)
