from typing import Any

import pytest
import torch
from torch import Tensor

from imagemodels.networks.recurrent import ConvLstmCell, StLstmCell, patched, unpatched
from imagemodels.networks.sequence import SequencePredictor
from imagemodels.networks.sequence_specs import Cell, SequenceSpec

CELLS: tuple[Cell, ...] = ("convlstm", "stlstm")
each_cell = pytest.mark.parametrize("cell", CELLS)


def predictor(cell: Cell, **changes: Any) -> SequencePredictor:
    values: dict[str, Any] = {"image_size": 8, "channels": 1, "width": 4, "layers": 2, "given_frames": 2}
    return SequencePredictor(SequenceSpec(cell=cell, **{**values, **changes}))


@each_cell
@pytest.mark.parametrize(("image_size", "channels"), [(8, 1), (17, 3), (28, 3), (96, 1), (256, 3)])
def test_frames_of_every_size_are_predicted_between_black_and_white(cell: Cell, image_size: int, channels: int) -> None:
    network = predictor(cell, image_size=image_size, channels=channels)
    made = network(torch.rand(2, 3, channels, image_size, image_size) * 2 - 1, 5)
    assert made.shape == (2, 5, channels, image_size, image_size)
    assert made.abs().max() <= 1
    assert made.std() > 0


@each_cell
@pytest.mark.parametrize("image_size", [8, 17])
def test_black_is_nought_to_the_cells_as_what_lies_beyond_the_borders_is(cell: Cell, image_size: int) -> None:
    network = predictor(cell, image_size=image_size)
    maps: list[Tensor] = []
    network.stack.register_forward_pre_hook(lambda _stack, inputs: maps.append(inputs[0]))
    network(torch.full((2, 1, 1, image_size, image_size), -1.0), 1)
    network(torch.full((2, 1, 1, image_size, image_size), 1.0), 1)
    black, white = maps
    assert black.abs().max() == 0
    assert white.max() == 2


@each_cell
def test_a_fresh_network_predicts_the_dark(cell: Cell) -> None:
    made = predictor(cell, width=16)(torch.rand(2, 3, 1, 8, 8) * 2 - 1, 5)
    assert -0.99 < made.mean().item() < -0.75


@each_cell
def test_the_loss_reaches_every_weight(cell: Cell) -> None:
    network = predictor(cell)
    network(torch.rand(2, 4, 1, 8, 8), 3).square().sum().backward()
    # The first layer's weights from a state are used from the second frame on.
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in network.parameters())


@each_cell
def test_a_prediction_knows_the_frames_before_it_alone(cell: Cell) -> None:
    network = predictor(cell)
    frames = torch.rand(1, 5, 1, 8, 8)
    changed = frames.clone()
    changed[:, 3] = -1.0
    before, after = network(frames, 4), network(changed, 4)
    assert torch.equal(before[:, :3], after[:, :3])
    assert not torch.equal(before[:, 3], after[:, 3])


@each_cell
def test_beyond_the_known_frames_it_goes_on_with_its_own(cell: Cell) -> None:
    network = predictor(cell)
    frames = torch.rand(2, 3, 1, 8, 8) * 2 - 1
    rolled = network(frames, 5)
    joined = torch.cat((frames, rolled[:, 2:4]), 1)  # what it went on with, given as if it were true
    torch.testing.assert_close(network(joined, 5), rolled)


@each_cell
def test_an_unseen_frame_is_replaced_by_its_prediction(cell: Cell) -> None:
    network = predictor(cell)
    frames = torch.rand(2, 4, 1, 8, 8) * 2 - 1
    seen = torch.tensor([[True, True, False, True], [False, True, True, True]])
    made = network(frames, 4, seen)
    first = frames.clone()
    first[0, 2] = made[0, 1]
    torch.testing.assert_close(made, network(first, 4))


def sigmoid(value: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-value))


def test_a_convlstm_cell_computes_the_papers_equations() -> None:
    """Shi et al., eq. 3, written out for maps of one position, where a convolution is a matrix product."""
    cell = ConvLstmCell(2, 3, 1, 1).double()
    with torch.no_grad():
        cell.peepholes.normal_()
    x, h, c = torch.randn(2, 1, dtype=torch.float64), torch.randn(3, 1, dtype=torch.float64), torch.randn(3, 1).double()
    new_h, new_c = cell(x.view(1, 2, 1, 1), h.view(1, 3, 1, 1), c.view(1, 3, 1, 1))
    matrix, bias = cell.gates.weight[:, :, 1, 1], cell.gates.bias
    assert bias is not None
    i, f, g, o = (matrix @ torch.cat((x, h)) + bias[:, None]).float().chunk(4)
    w_ci, w_cf, w_co = cell.peepholes.reshape(3, 3, 1)
    expected_c = sigmoid(f + w_cf * c + 1) * c + sigmoid(i + w_ci * c) * torch.tanh(g)
    expected_h = sigmoid(o + w_co * expected_c) * torch.tanh(expected_c)
    torch.testing.assert_close(new_c.flatten(), expected_c.flatten(), check_dtype=False)
    torch.testing.assert_close(new_h.flatten(), expected_h.flatten(), check_dtype=False)


def test_an_stlstm_cell_computes_the_papers_equations() -> None:
    """Wang et al., arXiv 2103.09504, eq. 4, for maps of one position."""
    cell = StLstmCell(2, 3, 1)
    x, h, c, m = (torch.randn(size, 1) for size in (2, 3, 3, 3))
    new_h, new_c, new_m = cell(*(state.view(1, -1, 1, 1) for state in (x, h, c, m)))

    def product(layer: torch.nn.Conv2d, value: Tensor) -> Tensor:
        assert layer.bias is not None
        middle = layer.kernel_size[0] // 2
        return layer.weight[:, :, middle, middle] @ value + layer.bias[:, None]

    xi, xf, xg, xi2, xf2, xg2, xo = product(cell.of_inputs, x).chunk(7)
    hi, hf, hg, ho = product(cell.of_hidden, h).chunk(4)
    mi, mf, mg = product(cell.of_memory, m).chunk(3)
    expected_c = sigmoid(xf + hf + 1) * c + sigmoid(xi + hi) * torch.tanh(xg + hg)
    expected_m = sigmoid(xf2 + mf + 1) * m + sigmoid(xi2 + mi) * torch.tanh(xg2 + mg)
    both = torch.cat((expected_c, expected_m))
    expected_h = sigmoid(xo + ho + product(cell.to_leave, both)) * torch.tanh(product(cell.joined, both))
    for found, expected in ((new_c, expected_c), (new_m, expected_m), (new_h, expected_h)):
        torch.testing.assert_close(found.flatten(), expected.flatten())


def test_the_memory_goes_from_the_top_layer_to_the_bottom_of_the_next_frame() -> None:
    network = predictor("stlstm", layers=3)
    states = network.stack.start(torch.zeros(1, 1))
    maps = network._patched(torch.rand(1, 1, 8, 8))
    _, after = network.stack(maps, states)
    memory = states[-1]
    passed, entered = maps, []
    for layer, cell in enumerate(network.stack.cells):
        entered.append(memory)
        passed, _content, memory = cell(passed, states[2 * layer], states[2 * layer + 1], memory)
    assert not torch.equal(entered[1], entered[2])
    assert torch.equal(after[-1], memory)  # and it is what the bottom gets next


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_agree_with_finite_differences(cell: Cell) -> None:
    torch.manual_seed(1)
    network = predictor(cell, width=2, layers=1, image_size=8, patch=4)
    weight = next(network.stack.parameters())
    frames = torch.rand(1, 3, 1, 8, 8)

    def loss() -> Tensor:
        made: Tensor = network(frames, 3)
        return made.double().square().sum()

    (gradient,) = torch.autograd.grad(loss(), [weight])
    direction = gradient / gradient.norm()
    with torch.no_grad():
        step = 1e-2
        weight.add_(direction, alpha=step)
        above = loss()
        weight.add_(direction, alpha=-2 * step)
        below = loss()
    assert float((above - below) / (2 * step)) == pytest.approx(float(gradient.norm()), rel=2e-2)


@pytest.mark.parametrize(("side", "patch", "margins"), [(8, 1, (0, 0)), (28, 4, (0, 0)), (9, 4, (1, 2))])
def test_patches_are_put_back_where_they_were(side: int, patch: int, margins: tuple[int, int]) -> None:
    frames = torch.randn(2, 3, side, side)
    maps = patched(frames, patch, margins)
    assert maps.shape[:2] == (2, 3 * patch * patch)
    assert torch.equal(unpatched(maps, patch, margins), frames)
