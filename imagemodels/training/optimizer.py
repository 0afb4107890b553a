"""What moves weights down their gradients, on torch's fused kernels.

With their first step torch's own classes import the compiler, whether anything is compiled or not, and every process
that trains would wait for that.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

Moments = dict[str, Tensor]


class Optimizer(ABC):
    """The weights, what is remembered of each, and the learning rate, which may be changed between two steps."""

    def __init__(self, weights: Iterable[nn.Parameter], learning_rate: float, weight_decay: float) -> None:
        self.state: dict[nn.Parameter, Moments] = {}  # of those weights that have had a gradient
        self.learning_rate = learning_rate
        self._weights = list(weights)
        self._weight_decay = weight_decay

    @abstractmethod
    def _new_moments(self, weight: nn.Parameter) -> Moments:
        """What is remembered of a weight before its first step."""

    @abstractmethod
    def _move(self, weights: list[Tensor], gradients: list[Tensor], moments: list[Moments]) -> None:
        """Take one step with these weights."""

    @property
    def gradients(self) -> list[Tensor]:
        """Those of the weights that have one."""
        return [weight.grad for weight in self._weights if weight.grad is not None]

    def make_moments(self) -> None:
        """Take the memory now that the next step would take."""
        for weight in self._weights:
            if weight.grad is not None:
                self._moments_of(weight)

    @torch.no_grad()
    def step(self) -> None:
        """Move every weight that has a gradient."""
        moving = [weight for weight in self._weights if weight.grad is not None]
        self._move(list(moving), self.gradients, [self._moments_of(weight) for weight in moving])

    def _moments_of(self, weight: nn.Parameter) -> Moments:
        if weight not in self.state:
            self.state[weight] = self._new_moments(weight)
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

        Raises ValueError if they belong to other weights, or are those of another optimizer.
        """
        (group,) = stored["param_groups"]
        if len(group["params"]) != len(self._weights):
            raise ValueError("the moments belong to other weights")
        for number, moments in stored["state"].items():
            self._check(moments, self._weights[number])
        self.learning_rate = group["lr"]
        self.state = {
            self._weights[number]: {name: value.to(self._weights[number].device) for name, value in moments.items()}
            for number, moments in stored["state"].items()
        }

    def _check(self, moments: Moments, weight: nn.Parameter) -> None:
        expected = self._new_moments(weight)
        if set(moments) != set(expected):
            raise ValueError(f"the moments {', '.join(sorted(moments))} are those of another optimizer")
        if any(moments[name].shape != expected[name].shape for name in expected):
            raise ValueError("the moments belong to other weights")
