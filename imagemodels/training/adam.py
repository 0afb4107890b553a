"""Adam with decoupled weight decay."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

from imagemodels.training.optimizer import Moments, Optimizer


class Adam(Optimizer):
    """What ``torch.optim.AdamW(..., fused=True)`` computes, bit for bit.

    Sources: Kingma and Ba, ICLR 2015; Loshchilov and Hutter, ICLR 2019.
    """

    def __init__(
        self,
        weights: Iterable[nn.Parameter],
        learning_rate: float,
        *,
        betas: tuple[float, float],
        weight_decay: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        super().__init__(weights, learning_rate, weight_decay)
        self._betas = betas
        self._eps = eps

    def _new_moments(self, weight: nn.Parameter) -> Moments:
        return {
            "step": torch.zeros((), dtype=torch.float32, device=weight.device),
            "exp_avg": torch.zeros_like(weight, memory_format=torch.preserve_format),
            "exp_avg_sq": torch.zeros_like(weight, memory_format=torch.preserve_format),
        }

    def _move(self, weights: list[Tensor], gradients: list[Tensor], moments: list[Moments]) -> None:
        beta1, beta2 = self._betas
        adam(
            weights,
            gradients,
            [each["exp_avg"] for each in moments],
            [each["exp_avg_sq"] for each in moments],
            [],
            [each["step"] for each in moments],
            foreach=False,
            fused=True,
            decoupled_weight_decay=True,
            amsgrad=False,
            maximize=False,
            beta1=beta1,
            beta2=beta2,
            lr=self.learning_rate,
            weight_decay=self._weight_decay,
            eps=self._eps,
        )
