"""Taking back a training step that could not be completed."""

import torch
from torch import Tensor

from imagemodels.training.task import Task


class Undo:
    """Copies of what a step changes before it is complete: running statistics, and the weights that move first.

    What moves last needs no copy, since nothing can fail any more after it. The copies stay from step to step, so that
    keeping them costs a copy of the discriminator and of its moments, and nothing where there is no discriminator.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._originals: list[Tensor] = []
        self._copies: list[Tensor] = []
        self._without_moments: list[str] = []

    @torch.no_grad()
    def keep(self) -> None:
        """Remember the present, before a step."""
        self._originals = []  # until all of it is kept: there may be no memory for it
        self._without_moments = [name for name, optimizer in self._task.optimizers.items() if not optimizer.state]
        originals = self._task.changed_early
        if [copy.shape for copy in self._copies] == [tensor.shape for tensor in originals]:
            _copy(self._copies, originals)
        else:
            self._copies = []
            self._copies = [tensor.clone() for tensor in originals]
        self._originals = originals

    @torch.no_grad()
    def restore(self) -> None:
        """Go back to what was kept, if keeping it did not fail, and free the gradients."""
        if self._originals:
            _copy(self._originals, self._copies)
        for name, optimizer in self._task.optimizers.items():
            optimizer.drop_gradients()
            if name in self._without_moments:
                optimizer.state.clear()  # made in the first step, perhaps not for every weight


def _copy(targets: list[Tensor], sources: list[Tensor]) -> None:
    """Copy all tensors, the floating ones of which there are many in few operations."""
    pairs = list(zip(targets, sources, strict=True))
    floating = [pair for pair in pairs if pair[0].is_floating_point()]
    if floating:
        torch._foreach_copy_([target for target, _ in floating], [source for _, source in floating])
    for target, source in pairs:
        if not target.is_floating_point():
            target.copy_(source)
