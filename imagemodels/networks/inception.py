"""The Inception network of the Fréchet inception distance: its layers, and the names of its weights.

Inception-v3 (Szegedy et al., arXiv 1512.00567) as it was trained in TensorFlow in December 2015 and ported to PyTorch:
1,008 outputs, averages that leave the border out (`count_include_pad=False`), and a maximum in the place of the average
in its last block. Both deviations are part of the published numbers.

Shapes: N images, C channels, S side in pixels.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

INCEPTION_SIDE = 299  # pixels
INCEPTION_FEATURES = 2048
_OUTPUTS = 1008
_EPSILON = 1e-3  # of TensorFlow's batch norm

Pool = Callable[[Tensor], Tensor]


class InceptionNetwork(nn.Module):
    """Map images (N, 3, 299, 299) in [-1, 1] to the averages of the last maps (N, 2048)."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Convolution(3, 32, (3, 3), stride=2)
        self.Conv2d_2a_3x3 = _Convolution(32, 32, (3, 3))
        self.Conv2d_2b_3x3 = _Convolution(32, 64, (3, 3), padding=(1, 1))
        self.Conv2d_3b_1x1 = _Convolution(64, 80, (1, 1))
        self.Conv2d_4a_3x3 = _Convolution(80, 192, (3, 3))
        channels = 192
        for name, branches in _BLOCKS.items():
            block = _Block(channels, branches)
            self.add_module(name, block)
            channels = block.outputs
        self.fc = nn.Linear(channels, _OUTPUTS)  # never used: the file has its weights

    def forward(self, images: Tensor) -> Tensor:
        """Return the features (N, 2048)."""
        return self.maps(images).mean((2, 3))

    def maps(self, images: Tensor) -> Tensor:
        """Return the last maps (N, 2048, 8, 8)."""
        *_, maps = self.stages(images)
        return maps

    def stages(self, images: Tensor) -> Iterator[Tensor]:
        """Yield the maps after the two parts of the stem, and after each block."""
        maps = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(images)))
        yield (maps := _shrinking_maximum(maps))
        yield (maps := _shrinking_maximum(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(maps))))
        for name in _BLOCKS:
            yield (maps := self.get_submodule(name)(maps))


class _Convolution(nn.Module):
    """A convolution without bias, batch norm, and a rectifier."""

    def __init__(
        self, inputs: int, outputs: int, kernel: tuple[int, int], *, stride: int = 1, padding: tuple[int, int] = (0, 0)
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=_EPSILON)

    def forward(self, maps: Tensor) -> Tensor:
        return functional.relu(self.bn(self.conv(maps)))


@dataclass(frozen=True)
class _Layer:
    """A convolution by its name; with a stride of 1 it keeps the side of its maps."""

    name: str
    outputs: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1

    def build(self, inputs: int) -> _Convolution:
        padding = (self.kernel[0] // 2, self.kernel[1] // 2) if self.stride == 1 else (0, 0)
        return _Convolution(inputs, self.outputs, self.kernel, stride=self.stride, padding=padding)


@dataclass(frozen=True)
class _Branch:
    """Layers one after the other behind a pooling, if there is one; `fork` stand side by side at the end."""

    layers: tuple[_Layer, ...] = ()
    fork: tuple[_Layer, ...] = ()
    pool: Pool | None = None

    def outputs(self, inputs: int) -> int:
        if self.fork:
            return sum(layer.outputs for layer in self.fork)
        return self.layers[-1].outputs if self.layers else inputs


class _Block(nn.Module):
    """Branches over the same maps, joined by their channels."""

    def __init__(self, inputs: int, branches: Sequence[_Branch]) -> None:
        super().__init__()
        self._branches = tuple(branches)
        self.outputs = sum(branch.outputs(inputs) for branch in branches)
        for branch in branches:
            channels = inputs
            for layer in branch.layers:
                self.add_module(layer.name, layer.build(channels))
                channels = layer.outputs
            for layer in branch.fork:
                self.add_module(layer.name, layer.build(channels))

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([found for branch in self._branches for found in self._along(branch, maps)], 1)

    def _along(self, branch: _Branch, maps: Tensor) -> list[Tensor]:
        if branch.pool is not None:
            maps = branch.pool(maps)
        for layer in branch.layers:
            maps = self.get_submodule(layer.name)(maps)
        return [self.get_submodule(layer.name)(maps) for layer in branch.fork] or [maps]


def _average(maps: Tensor) -> Tensor:
    return functional.avg_pool2d(maps, 3, stride=1, padding=1, count_include_pad=False)


def _maximum(maps: Tensor) -> Tensor:
    return functional.max_pool2d(maps, 3, stride=1, padding=1)


def _shrinking_maximum(maps: Tensor) -> Tensor:
    return functional.max_pool2d(maps, 3, stride=2)


def _block_a(pooled: int) -> tuple[_Branch, ...]:
    return (
        _Branch((_Layer("branch1x1", 64),)),
        _Branch((_Layer("branch5x5_1", 48), _Layer("branch5x5_2", 64, (5, 5)))),
        _Branch(
            (
                _Layer("branch3x3dbl_1", 64),
                _Layer("branch3x3dbl_2", 96, (3, 3)),
                _Layer("branch3x3dbl_3", 96, (3, 3)),
            )
        ),
        _Branch((_Layer("branch_pool", pooled),), pool=_average),
    )


def _block_b() -> tuple[_Branch, ...]:
    return (
        _Branch((_Layer("branch3x3", 384, (3, 3), 2),)),
        _Branch(
            (
                _Layer("branch3x3dbl_1", 64),
                _Layer("branch3x3dbl_2", 96, (3, 3)),
                _Layer("branch3x3dbl_3", 96, (3, 3), 2),
            )
        ),
        _Branch(pool=_shrinking_maximum),
    )


def _block_c(width: int) -> tuple[_Branch, ...]:
    return (
        _Branch((_Layer("branch1x1", 192),)),
        _Branch(
            (
                _Layer("branch7x7_1", width),
                _Layer("branch7x7_2", width, (1, 7)),
                _Layer("branch7x7_3", 192, (7, 1)),
            )
        ),
        _Branch(
            (
                _Layer("branch7x7dbl_1", width),
                _Layer("branch7x7dbl_2", width, (7, 1)),
                _Layer("branch7x7dbl_3", width, (1, 7)),
                _Layer("branch7x7dbl_4", width, (7, 1)),
                _Layer("branch7x7dbl_5", 192, (1, 7)),
            )
        ),
        _Branch((_Layer("branch_pool", 192),), pool=_average),
    )


def _block_d() -> tuple[_Branch, ...]:
    return (
        _Branch((_Layer("branch3x3_1", 192), _Layer("branch3x3_2", 320, (3, 3), 2))),
        _Branch(
            (
                _Layer("branch7x7x3_1", 192),
                _Layer("branch7x7x3_2", 192, (1, 7)),
                _Layer("branch7x7x3_3", 192, (7, 1)),
                _Layer("branch7x7x3_4", 192, (3, 3), 2),
            )
        ),
        _Branch(pool=_shrinking_maximum),
    )


def _block_e(pool: Pool) -> tuple[_Branch, ...]:
    return (
        _Branch((_Layer("branch1x1", 320),)),
        _Branch(
            (_Layer("branch3x3_1", 384),),
            fork=(_Layer("branch3x3_2a", 384, (1, 3)), _Layer("branch3x3_2b", 384, (3, 1))),
        ),
        _Branch(
            (_Layer("branch3x3dbl_1", 448), _Layer("branch3x3dbl_2", 384, (3, 3))),
            fork=(_Layer("branch3x3dbl_3a", 384, (1, 3)), _Layer("branch3x3dbl_3b", 384, (3, 1))),
        ),
        _Branch((_Layer("branch_pool", 192),), pool=pool),
    )


_BLOCKS = {
    "Mixed_5b": _block_a(32),
    "Mixed_5c": _block_a(64),
    "Mixed_5d": _block_a(64),
    "Mixed_6a": _block_b(),
    "Mixed_6b": _block_c(128),
    "Mixed_6c": _block_c(160),
    "Mixed_6d": _block_c(160),
    "Mixed_6e": _block_c(192),
    "Mixed_7a": _block_d(),
    "Mixed_7b": _block_e(_average),
    "Mixed_7c": _block_e(_maximum),
}
