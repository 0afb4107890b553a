"""Trained models as files: weights in safetensors, everything else in ``model.json``. No code is ever stored."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from imagemodels.card import CARD_FILE, WEIGHTS_FILE, Metadata, ModelCard, read_card
from imagemodels.digest import weights_bytes
from imagemodels.errors import CorruptCheckpoint, ModelError
from imagemodels.identity import identity, sha256_hex
from imagemodels.model import Model, model_of
from imagemodels.networks.architectures import ARCHITECTURES, Network
from imagemodels.networks.specs import spec_values
from imagemodels.pixels import NORMALISER
from imagemodels.presets import check_shape
from imagemodels.runtime import Runtime


def save_model(folder: Path, model: Model, metadata: Metadata) -> str:
    """Write ``weights.safetensors`` and ``model.json`` into ``folder`` and return the sha256 of the weights file.

    The folder is made when it is not there. The card is written last: a folder with a card is complete.
    """
    network = model.network
    content = weights_bytes(network)
    weights_sha256 = sha256_hex(content)
    architecture, spec = type(network).__name__, spec_values(network.spec)
    card = ModelCard(
        architecture=architecture,
        spec=spec,
        normaliser=NORMALISER,
        weights_sha256=weights_sha256,
        digest=identity(architecture, spec, weights_sha256),
        metadata=metadata,
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS_FILE).write_bytes(content)
    (folder / CARD_FILE).write_text(card.to_json(), encoding="utf-8")
    return weights_sha256


def load_model(folder: Path, runtime: Runtime, batch_size: int | None = None) -> Model:
    """Return the model in ``folder``, ready to use; ``batch_size`` is that of a Generator, Predictor or Restorer.

    Raises CorruptCheckpoint when a file is missing, was altered, or does not fit the other.
    """
    card = read_card(folder)
    content = _checked_weights(folder / WEIGHTS_FILE, card)
    network = _filled(_empty_network(card), content)
    runtime.place(network)
    return model_of(network, runtime, batch_size)


def checked_weights(folder: Path, digest: str) -> bytes:
    """Return the weights in ``folder`` as they lie in their file, if they are those of the model of that digest.

    Raises CorruptCheckpoint when a file is missing or was altered, or the model is another one.
    """
    card = read_card(folder)
    if card.digest != digest:
        raise CorruptCheckpoint(f"{folder} holds another model: its digest is {card.digest}, recorded {digest}")
    return _checked_weights(folder / WEIGHTS_FILE, card)


def _checked_weights(path: Path, card: ModelCard) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CorruptCheckpoint(f"no weights can be read from {path}: {error}") from error
    found = sha256_hex(content)
    if found != card.weights_sha256:
        raise CorruptCheckpoint(f"{path} was altered: its sha256 is {found}, {CARD_FILE} says {card.weights_sha256}")
    if identity(card.architecture, dict(card.spec), found) != card.digest:
        raise CorruptCheckpoint(f"the spec in {path.with_name(CARD_FILE)} was altered: it does not fit the digest")
    return content


def _empty_network(card: ModelCard) -> Network:
    """Build the network without memory for its weights, so that a false card cannot claim any."""
    build = ARCHITECTURES.get(card.architecture) if isinstance(card.architecture, str) else None
    if build is None:
        known = ", ".join(ARCHITECTURES)
        raise CorruptCheckpoint(f"architecture {card.architecture!r} does not exist; known: {known}")
    try:
        check_shape(card.spec["image_size"], card.spec["channels"], card.spec.get("num_classes", 0))
        with torch.device("meta"):
            return build(card.spec)
    except (TypeError, KeyError, ValueError, RuntimeError, ModelError) as error:
        raise CorruptCheckpoint(f"{CARD_FILE} describes no network: {error}") from error


def _require_kinds(network: Network, weights: Mapping[str, Tensor]) -> None:
    """Raise CorruptCheckpoint for numbers of another kind than the network's own, which would be taken as they are."""
    for name, own in network.state_dict().items():
        if name in weights and weights[name].dtype != own.dtype:
            raise CorruptCheckpoint(f"{WEIGHTS_FILE} holds {name} as {weights[name].dtype}, not {own.dtype}")


def _filled(network: Network, content: bytes) -> Network:
    try:
        weights = load(content)
        _require_kinds(network, weights)
        network.load_state_dict(weights, assign=True)
    except (SafetensorError, RuntimeError) as error:
        raise CorruptCheckpoint(f"{WEIGHTS_FILE} does not fit {CARD_FILE}: {error}") from error
    return network
