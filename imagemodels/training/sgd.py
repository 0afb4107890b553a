"""Stochastic gradient descent with momentum."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd

from imagemodels.training.optimizer import Moments, Optimizer


class Sgd(Optimizer):
    """What ``torch.optim.SGD(..., fused=True)`` computes, bit for bit: the momentum v ← μv + g, the weight w ← w - ηv.

    Weight decay is added to the gradient g. Sources: Robbins and Monro, 1951; Sutskever et al., ICML 2013.
    """

    def __init__(
        self, weights: Iterable[nn.Parameter], learning_rate: float, *, momentum: float, weight_decay: float = 0.0
    ) -> None:
        super().__init__(weights, learning_rate, weight_decay)
        self._momentum = momentum

    def _new_moments(self, weight: nn.Parameter) -> Moments:
        return {"momentum_buffer": torch.zeros_like(weight, memory_format=torch.preserve_format)}

    def _move(self, weights: list[Tensor], gradients: list[Tensor], moments: list[Moments]) -> None:
        sgd(
            weights,
            gradients,
            [each["momentum_buffer"] for each in moments],
            foreach=False,
            fused=True,
            weight_decay=self._weight_decay,
            momentum=self._momentum,
            lr=self.learning_rate,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )
