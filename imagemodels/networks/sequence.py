"""The network that goes on with a sequence of frames.

Shapes: N sequences, T frames, C channels, S side in pixels, W channels of a state, M side of the maps in positions.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from imagemodels.networks.recurrent import ConvLstmCell, StLstmCell, patched, unpatched
from imagemodels.networks.sequence_specs import SequenceSpec

DARK = -1.5  # before tanh: 5 % of white, where predictions begin, for objects drift over a black canvas


class _Stack(nn.Module, ABC):
    """Cells one above the other, and what they remember of a sequence."""

    def __init__(self, spec: SequenceSpec, cells: list[nn.Module]) -> None:
        super().__init__()
        self.spec = spec
        self.cells = nn.ModuleList(cells)

    @abstractmethod
    def start(self, like: Tensor) -> list[Tensor]:
        """Return the states before the first frame, all zero."""

    @abstractmethod
    def forward(self, maps: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return the top layer's hidden state (N, W, M, M) and the states after one more frame."""

    def _zeros(self, like: Tensor, count: int) -> list[Tensor]:
        shape = (len(like), self.spec.width, self.spec.map_side, self.spec.map_side)
        return [torch.zeros(shape, device=like.device) for _ in range(count)]


class ConvLstmStack(_Stack):
    """ConvLSTM cells; each passes its hidden state upwards."""

    def __init__(self, spec: SequenceSpec, inputs: int) -> None:
        widths = [inputs, *[spec.width] * (spec.layers - 1)]
        super().__init__(spec, [ConvLstmCell(width, spec.width, spec.map_side, spec.reach) for width in widths])

    def start(self, like: Tensor) -> list[Tensor]:
        """Hidden and cell state of each layer."""
        return self._zeros(like, 2 * len(self.cells))

    def forward(self, maps: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """One frame upwards through all layers."""
        after: list[Tensor] = []
        for layer, cell in enumerate(self.cells):
            maps, content = cell(maps, *states[2 * layer : 2 * layer + 2])
            after += [maps, content]
        return maps, after


class StLstmStack(_Stack):
    """ST-LSTM cells; the memory goes upwards through all of them, and from the top to the bottom of the next frame."""

    def __init__(self, spec: SequenceSpec, inputs: int) -> None:
        widths = [inputs, *[spec.width] * (spec.layers - 1)]
        super().__init__(spec, [StLstmCell(width, spec.width, spec.reach) for width in widths])

    def start(self, like: Tensor) -> list[Tensor]:
        """Hidden and cell state of each layer, and the memory."""
        return self._zeros(like, 2 * len(self.cells) + 1)

    def forward(self, maps: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """One frame in a zigzag through all layers."""
        memory, after = states[-1], []
        for layer, cell in enumerate(self.cells):
            maps, content, memory = cell(maps, *states[2 * layer : 2 * layer + 2], memory)
            after += [maps, content]
        return maps, [*after, memory]


class SequencePredictor(nn.Module):
    """Frames cut into patches, recurrent cells over the maps of those, and patches read off the top layer.

    Every frame is predicted from those before it; beyond the frames that it is given, the network takes its own
    predictions for true (the arrangement of arXiv 2103.09504, for both kinds of cell).
    """

    def __init__(self, spec: SequenceSpec) -> None:
        super().__init__()
        self.spec = spec
        positions = spec.channels * spec.patch_side**2
        self.stack: _Stack = (ConvLstmStack if spec.cell == "convlstm" else StLstmStack)(spec, positions)
        self.head = nn.Conv2d(spec.width, positions, 1)
        missing = spec.map_side * spec.patch_side - spec.image_size
        self._margins = (missing // 2, missing - missing // 2)

    def forward(self, frames: Tensor, steps: int, seen: Tensor | None = None) -> Tensor:
        """Return predictions (N, ``steps``, C, S, S) in [-1, 1] of the second frame and of all that follow.

        ``frames`` (N, T, C, S, S) in [-1, 1] are known. Frame t is looked at when ``seen`` (N, T), bool, says so, by
        default always, and otherwise its prediction is; the first frame is always looked at.
        """
        states = self.stack.start(frames)
        predictions: list[Tensor] = []
        for step in range(steps):
            top, states = self.stack(self._patched(self._input(frames, predictions, step, seen)), states)
            predictions.append(torch.tanh(self._unpatched(self.head(top).float()) + DARK))
        return torch.stack(predictions, 1)

    def _input(self, frames: Tensor, predictions: list[Tensor], step: int, seen: Tensor | None) -> Tensor:
        if step == 0:
            return frames[:, 0]
        if step >= frames.shape[1]:
            return predictions[-1]
        if seen is None:
            return frames[:, step]
        return torch.where(seen[:, step, None, None, None], frames[:, step], predictions[-1])

    def _patched(self, frames: Tensor) -> Tensor:
        """Maps in [0, 2]: black is nought, as is what convolutions see beyond the borders."""
        return patched(frames, self.spec.patch_side, self._margins) + 1

    def _unpatched(self, maps: Tensor) -> Tensor:
        return unpatched(maps, self.spec.patch_side, self._margins)
