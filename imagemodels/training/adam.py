"""Adam with decoupled weight decay, on torch's fused kernels."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

Moments = dict[str, Tensor]


class Adam:
    """What ``torch.optim.AdamW(..., fused=True)`` computes, bit for bit.

    With its first step torch's own class imports the compiler, whether anything is compiled or not, and every process
    that trains would wait for that. Sources: Kingma and Ba, ICLR 2015; Loshchilov and Hutter, ICLR 2019.
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
        self.state: dict[nn.Parameter, Moments] = {}  # of those weights that have had a gradient
        self._weights = list(weights)
        self.learning_rate = learning_rate
        self._betas = betas
        self._weight_decay = weight_decay
        self._eps = eps

    @torch.no_grad()
    def step(self) -> None:
        """Move every weight that has a gradient."""
        moving = [weight for weight in self._weights if weight.grad is not None]
        moments = [self._moments_of(weight) for weight in moving]
        beta1, beta2 = self._betas
        adam(
            list(moving),
            [weight.grad for weight in moving if weight.grad is not None],
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

    def _moments_of(self, weight: nn.Parameter) -> Moments:
        if weight not in self.state:
            self.state[weight] = {
                "step": torch.zeros((), dtype=torch.float32, device=weight.device),
                "exp_avg": torch.zeros_like(weight, memory_format=torch.preserve_format),
                "exp_avg_sq": torch.zeros_like(weight, memory_format=torch.preserve_format),
            }
        return self.state[weight]

    def clip_gradients(self, largest_norm: float) -> None:
        """Shorten the gradient of all weights together to this length, if it is longer."""
        nn.utils.clip_grad_norm_(self._weights, largest_norm)

    def drop_gradients(self) -> None:
        """Free the gradients: the next backward pass makes them anew."""
        for weight in self._weights:
            weight.grad = None

    def state_dict(self) -> dict[str, Any]:
        """The moments by the number of their weight, and the learning rate; the tensors are not copied."""
        numbers = {weight: number for number, weight in enumerate(self._weights)}
        group = {"lr": self.learning_rate, "params": [*numbers.values()]}
        return {
            "state": {numbers[weight]: dict(moments) for weight, moments in self.state.items()},
            "param_groups": [group],
        }

    def load_state_dict(self, stored: dict[str, Any]) -> None:
        """Take over moments and learning rate, also those that torch's own class has saved.

        Raises ValueError if they belong to other weights.
        """
        (group,) = stored["param_groups"]
        shapes = {number: moments["exp_avg"].shape for number, moments in stored["state"].items()}
        if len(group["params"]) != len(self._weights) or any(
            shape != self._weights[number].shape for number, shape in shapes.items()
        ):
            raise ValueError("the moments belong to other weights")
        self.learning_rate = group["lr"]
        self.state = {
            self._weights[number]: {name: value.to(self._weights[number].device) for name, value in moments.items()}
            for number, moments in stored["state"].items()
        }
