import torch
from torch import nn

from imagemodels.networks.spectral import SpectralNorm, apply_spectral_norm


def largest_singular_value(weight: torch.Tensor) -> float:
    return float(torch.linalg.matrix_norm(weight.flatten(1), ord=2))


def test_the_weight_gets_a_largest_singular_value_of_one() -> None:
    layer = nn.Conv2d(6, 9, 3)
    left, values, right = torch.linalg.svd(layer.weight.detach().flatten(1), full_matrices=False)
    values[0] = 2 * values[1]  # an iteration takes the second away by this ratio squared
    with torch.no_grad():
        layer.weight.copy_((left * values @ right).reshape(layer.weight.shape))
    apply_spectral_norm(layer)
    for _ in range(20):
        layer(torch.randn(2, 6, 5, 5))
    assert abs(largest_singular_value(layer.weight.detach()) - 1) < 1e-5


def test_estimates_move_in_training_and_rest_in_eval() -> None:
    norm = SpectralNorm(torch.randn(8, 8), warm_up_iterations=0)
    weight = torch.randn(8, 8)
    before = norm.left.clone()
    norm.eval()(weight)
    assert torch.equal(norm.left, before)
    norm.train()(weight)
    assert not torch.equal(norm.left, before)


def test_two_passes_before_one_backward_are_allowed() -> None:
    layer = nn.Linear(4, 3)
    apply_spectral_norm(layer)
    total = layer(torch.randn(2, 4)).sum() + layer(torch.randn(2, 4)).sum()
    gradients = torch.autograd.grad(total, list(layer.parameters()))
    assert all(gradient.any() for gradient in gradients)


def test_the_norm_is_estimated_in_fp32_under_autocast() -> None:
    torch.manual_seed(1)
    layer = nn.Linear(64, 64)
    exact = SpectralNorm(layer.weight).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = exact(layer.weight)
    assert under_autocast.dtype == torch.float32
    assert torch.equal(under_autocast, exact(layer.weight))
