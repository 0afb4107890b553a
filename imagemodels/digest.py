"""The identity of a model: a hash of its architecture and its weights."""

from safetensors.torch import save
from torch import Tensor

from imagemodels.identity import identity, sha256_hex
from imagemodels.networks.architectures import Network
from imagemodels.networks.specs import spec_values


def weights_bytes(network: Network) -> bytes:
    """Return weights and buffers in the safetensors format; equal weights give equal bytes."""
    # safetensors refuses channels_last memory; the layout is no part of a model's identity either.
    tensors: dict[str, Tensor] = {
        name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()
    }
    content: bytes = save(tensors)
    return content


def model_digest(network: Network) -> str:
    """Return the identity of a network in memory, equal to the one in the ``model.json`` of its export."""
    return identity(type(network).__name__, spec_values(network.spec), sha256_hex(weights_bytes(network)))
