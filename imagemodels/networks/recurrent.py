"""Recurrent cells whose state is a map.

Shapes: N sequences, C channels of the input, W channels of the state, M side of the map in positions.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

FORGET_BIAS = 1.0  # a state lasts unless training finds that it should not (Gers et al., Neural Computation 12, 2000)


class ConvLstmCell(nn.Module):
    """The convolutional LSTM with peepholes (Shi et al., arXiv 1506.04214, eq. 3)."""

    def __init__(self, inputs: int, width: int, side: int, reach: int) -> None:
        super().__init__()
        self.gates = same_convolution(inputs + width, 4 * width, reach)
        self.peepholes = nn.Parameter(torch.zeros(3, width, side, side))

    def forward(self, inputs: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """Return the new hidden and cell states (N, W, M, M) for ``inputs`` (N, C, M, M)."""
        to_enter, to_forget, to_leave = self.peepholes
        enter, forget, content, leave = self.gates(torch.cat((inputs, hidden), 1)).float().chunk(4, 1)
        entering = torch.sigmoid(enter + to_enter * cell)
        kept = torch.sigmoid(forget + to_forget * cell + FORGET_BIAS)
        cell = kept * cell + entering * torch.tanh(content)
        return torch.sigmoid(leave + to_leave * cell) * torch.tanh(cell), cell


class StLstmCell(nn.Module):
    """The spatio-temporal LSTM (Wang et al., NeurIPS 2017; arXiv 2103.09504, eq. 4).

    Beside its own cell state it changes a memory that is passed on from layer to layer.
    """

    def __init__(self, inputs: int, width: int, reach: int) -> None:
        super().__init__()
        self.of_inputs = same_convolution(inputs, 7 * width, reach)
        self.of_hidden = same_convolution(width, 4 * width, reach)
        self.of_memory = same_convolution(width, 3 * width, reach)
        self.to_leave = same_convolution(2 * width, width, reach)
        self.joined = nn.Conv2d(2 * width, width, 1)

    def forward(self, inputs: Tensor, hidden: Tensor, cell: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the new hidden state, cell state and memory (N, W, M, M) for ``inputs`` (N, C, M, M)."""
        own, shared, leave = self.of_inputs(inputs).float().tensor_split(_places(hidden, 3, 6), 1)
        own_hidden, leave_hidden = self.of_hidden(hidden).float().tensor_split(_places(hidden, 3), 1)
        cell = _renewed(cell, own + own_hidden)
        memory = _renewed(memory, shared + self.of_memory(memory).float())
        both = torch.cat((cell, memory), 1)
        leaving = torch.sigmoid(leave + leave_hidden + self.to_leave(both).float())
        return leaving * torch.tanh(self.joined(both).float()), cell, memory


def same_convolution(inputs: int, outputs: int, reach: int) -> nn.Conv2d:
    """Return a convolution that looks ``reach`` positions to each side and keeps the map's size."""
    return nn.Conv2d(inputs, outputs, 2 * reach + 1, padding=reach)


def _places(state: Tensor, *multiples: int) -> list[int]:
    return [multiple * state.shape[1] for multiple in multiples]


def _renewed(state: Tensor, gates: Tensor) -> Tensor:
    """Forget and learn: the state after its gates (N, 3W, M, M) for entering, forgetting and content."""
    enter, forget, content = gates.chunk(3, 1)
    return torch.sigmoid(forget + FORGET_BIAS) * state + torch.sigmoid(enter) * torch.tanh(content)


def patched(frames: Tensor, patch: int, margins: tuple[int, int]) -> Tensor:
    """Return frames (N, C, S, S), padded in black, as maps (N, C·P·P, M, M) of their patches of P pixels a side."""
    before, after = margins
    padded = functional.pad(frames, (before, after, before, after), value=-1.0)
    return functional.pixel_unshuffle(padded, patch)


def unpatched(maps: Tensor, patch: int, margins: tuple[int, int]) -> Tensor:
    """Return the frames (N, C, S, S) of such maps; the inverse of ``patched``."""
    padded = functional.pixel_shuffle(maps, patch)
    before, after = margins
    return padded[:, :, before : padded.shape[2] - after, before : padded.shape[3] - after]
