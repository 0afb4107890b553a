from typing import Any

import pytest

from imagemodels.identity import identity
from imagemodels.networks.architectures import ARCHITECTURES
from imagemodels.networks.forest import ForestSpec
from imagemodels.networks.restoration_specs import DegradationSpec, RestorerSpec
from imagemodels.networks.sequence_specs import SequenceSpec
from imagemodels.networks.spatialspecs import FsqSpec
from imagemodels.networks.specs import (
    ConvDecoderSpec,
    ConvEncoderSpec,
    DecoderSpec,
    EncoderSpec,
    MlpDecoderSpec,
    MlpEncoderSpec,
    spec_values,
)

DECODER: dict[str, Any] = {"image_size": 8, "channels": 1, "latent_size": 4, "width": 2}
ENCODER: dict[str, Any] = {"image_size": 8, "channels": 1, "outputs": 1, "width": 2}
# The identities by which exported models of these specs are known.
KNOWN: dict[str, tuple[DecoderSpec | EncoderSpec | ForestSpec | FsqSpec | RestorerSpec | SequenceSpec, str]] = {
    "ConvDecoder": (ConvDecoderSpec(**DECODER), "658bcc29cd5078be"),
    "ConvEncoder": (ConvEncoderSpec(**ENCODER), "c02fd2bc25ec4436"),
    "MlpDecoder": (MlpDecoderSpec(**DECODER, depth=1), "691930cb53270ee6"),
    "MlpEncoder": (MlpEncoderSpec(**ENCODER, depth=1), "c444c0dfb742c973"),
    "ForestDecoder": (
        ForestSpec(image_size=8, channels=1, latent_size=4, groups=2, leaves=3),
        "ecc4adcd9b52804f",
    ),
    "FsqAutoencoder": (
        FsqSpec(image_size=8, channels=1, width=2, halvings=1, blocks=0, levels=(5, 4)),
        "d35a8e55f6fbb3c7",
    ),
    "SequencePredictor": (
        SequenceSpec(image_size=8, channels=1, width=2, layers=1, given_frames=2),
        "6581533486579277",
    ),
    "UNet": (
        RestorerSpec(
            image_size=8,
            channels=1,
            width=2,
            halvings=1,
            blocks=0,
            skips=True,
            residual=False,
            degradation=DegradationSpec(name="noise"),
        ),
        "568ad30cb782e41c",
    ),
}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_spec_keeps_its_identity_and_builds_its_network_again(architecture: str) -> None:
    spec, known = KNOWN[architecture]
    assert identity(architecture, spec_values(spec), "")[:16] == known
    network = ARCHITECTURES[architecture](spec_values(spec))
    assert type(network).__name__ == architecture
    assert network.spec == spec
