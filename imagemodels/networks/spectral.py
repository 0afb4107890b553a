"""Spectral normalisation (Miyato et al., arXiv 1802.05957), kept in fp32 whatever the precision of the forward pass."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils import parametrize

EPSILON = 1e-12


class SpectralNorm(nn.Module):
    """Divide a weight by its largest singular value, followed by one power iteration for each training pass.

    torch's own parametrization runs its matrix products under autocast, where bf16 ruins the estimate of the
    singular value; hence this one.
    """

    left: Tensor
    right: Tensor

    def __init__(self, weight: Tensor, warm_up_iterations: int = 15) -> None:
        super().__init__()
        self.iterates = True
        matrix = weight.detach().flatten(1)
        self.register_buffer("left", normalize(torch.randn(matrix.shape[0]), dim=0, eps=EPSILON))
        self.register_buffer("right", normalize(torch.randn(matrix.shape[1]), dim=0, eps=EPSILON))
        self._iterate(matrix, warm_up_iterations)

    def forward(self, weight: Tensor) -> Tensor:
        """Return ``weight`` with spectral norm one, in fp32."""
        with torch.autocast(weight.device.type, enabled=False):
            matrix = weight.flatten(1)
            if self.training and self.iterates:
                self._iterate(matrix, 1)
            # Cloned because the next iteration writes in place while this graph may still wait for backward.
            left, right = self.left.clone(), self.right.clone()
            return weight / torch.dot(left, torch.mv(matrix, right))

    @torch.no_grad()
    def _iterate(self, matrix: Tensor, iterations: int) -> None:
        for _ in range(iterations):
            self.left.copy_(normalize(torch.mv(matrix, self.right), dim=0, eps=EPSILON))
            self.right.copy_(normalize(torch.mv(matrix.t(), self.left), dim=0, eps=EPSILON))


def apply_spectral_norm(network: nn.Module) -> None:
    """Put every convolution, linear layer and embedding of ``network`` under spectral normalisation."""
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding)]
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", SpectralNorm(layer.weight))
