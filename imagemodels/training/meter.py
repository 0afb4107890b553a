"""Loss averages and speed, read from the device only when somebody wants to know."""

import math
import time
from collections import Counter
from collections.abc import Mapping

import torch
from torch import Tensor

from imagemodels.errors import NonFiniteLoss

REPORT_SECONDS = 0.7


class Meter:
    """Collects losses and working time between two reports."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: Counter[str] = Counter()  # not every step has every loss
        self._steps = 0
        self._images = 0
        self._busy_seconds = 0.0
        self._last_report = time.monotonic()

    @property
    def is_empty(self) -> bool:
        """Whether no step was added since the last report."""
        return self._steps == 0

    @property
    def is_due(self) -> bool:
        """Whether enough time has passed since the last report."""
        return time.monotonic() - self._last_report >= REPORT_SECONDS

    def add(self, losses: Mapping[str, Tensor], images: int, seconds: float) -> None:
        """Add one step; the losses stay on the device."""
        for name, loss in losses.items():
            self._sums[name] = self._sums[name] + loss if name in self._sums else loss
            self._counts[name] += 1
        self._steps += 1
        self._images += images
        self._busy_seconds += seconds

    def require_finite(self) -> None:
        """Raise NonFiniteLoss when a loss since the last report was NaN or infinite."""
        if self._sums:
            self._means()

    def report(self) -> tuple[dict[str, float], float]:
        """Return mean losses and images per second since the last report, and start anew.

        Raises NonFiniteLoss when a loss was NaN or infinite.
        """
        waiting = time.monotonic()
        means = self._means()
        seconds = self._busy_seconds + time.monotonic() - waiting  # a GPU may still have been computing
        speed = self._images / seconds if seconds > 0 else 0.0
        self.__init__()  # type: ignore[misc]
        return means, speed

    def _means(self) -> dict[str, float]:
        values = torch.stack(list(self._sums.values())).tolist()  # one transfer for all losses
        means = {name: value / self._counts[name] for name, value in zip(self._sums, values, strict=True)}
        broken = [name for name, value in means.items() if not math.isfinite(value)]
        if broken:
            raise NonFiniteLoss(f"the loss {', '.join(broken)} is not finite; lower the learning rate")
        return means
