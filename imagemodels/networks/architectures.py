"""The networks by name: what a model's file may be of, and how it is built from its spec."""

from collections.abc import Callable, Mapping
from typing import Any

from imagemodels.networks.decoder import ConvDecoder
from imagemodels.networks.encoder import ConvEncoder
from imagemodels.networks.forest import ForestDecoder, ForestSpec
from imagemodels.networks.fsq import FsqAutoencoder
from imagemodels.networks.mlp import MlpDecoder, MlpEncoder
from imagemodels.networks.restoration_specs import DegradationSpec, RestorerSpec
from imagemodels.networks.sequence import SequencePredictor
from imagemodels.networks.sequence_specs import SequenceSpec
from imagemodels.networks.spatialspecs import FsqSpec
from imagemodels.networks.specs import ConvDecoderSpec, ConvEncoderSpec, MlpDecoderSpec, MlpEncoderSpec
from imagemodels.networks.unet import UNet

Decoder = ConvDecoder | MlpDecoder | ForestDecoder  # from latent vectors to images
Encoder = ConvEncoder | MlpEncoder  # from images to vectors
Network = Decoder | Encoder | FsqAutoencoder | SequencePredictor | UNet


def _with_encoder(values: Mapping[str, Any], spec: type[ConvEncoderSpec | MlpEncoderSpec]) -> dict[str, Any]:
    found = values.get("encoder")
    return {**values, "encoder": spec(**found) if found is not None else None}


ARCHITECTURES: Mapping[str, Callable[[Mapping[str, Any]], Network]] = {
    "ConvDecoder": lambda values: ConvDecoder(ConvDecoderSpec(**_with_encoder(values, ConvEncoderSpec))),
    "ConvEncoder": lambda values: ConvEncoder(ConvEncoderSpec(**values)),
    "ForestDecoder": lambda values: ForestDecoder(ForestSpec(**values)),
    # JSON knows no tuples.
    "FsqAutoencoder": lambda values: FsqAutoencoder(FsqSpec(**{**values, "levels": tuple(values["levels"])})),
    "MlpDecoder": lambda values: MlpDecoder(MlpDecoderSpec(**_with_encoder(values, MlpEncoderSpec))),
    "MlpEncoder": lambda values: MlpEncoder(MlpEncoderSpec(**values)),
    "SequencePredictor": lambda values: SequencePredictor(SequenceSpec(**values)),
    "UNet": lambda values: UNet(RestorerSpec(**{**values, "degradation": DegradationSpec(**values["degradation"])})),
}


def new_decoder(spec: ConvDecoderSpec | MlpDecoderSpec) -> Decoder:
    """Return a freshly initialised network from latent vectors to images."""
    return ConvDecoder(spec) if isinstance(spec, ConvDecoderSpec) else MlpDecoder(spec)


def new_encoder(spec: ConvEncoderSpec | MlpEncoderSpec) -> Encoder:
    """Return a freshly initialised network from images to vectors."""
    return ConvEncoder(spec) if isinstance(spec, ConvEncoderSpec) else MlpEncoder(spec)
