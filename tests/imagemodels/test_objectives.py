import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal
from torch.distributions import kl_divergence as reference_kl
from torch.nn import functional

from imagemodels.objectives import (
    ADVERSARIAL,
    RECONSTRUCTION,
    bounded_log_variance,
    content_distance,
    gram_matrices,
    kl_beyond,
    kl_divergence,
    ns_discriminator,
    ns_generator,
    one_centred_penalty,
    reparameterised,
    sigma_reconstruction,
    squared_slopes,
    style_distance,
    total_variation,
    zero_centred_penalty,
)


def slope(loss: "torch.Tensor", at: Tensor) -> float:
    (gradient,) = torch.autograd.grad(loss, at)
    return float(gradient)


def logit(value: float) -> Tensor:
    return torch.tensor([value], requires_grad=True)


def test_the_generator_has_its_whole_gradient_where_it_is_worst() -> None:
    at = logit(-8.0)
    assert slope(ns_generator(at), at) == pytest.approx(-0.99966, abs=1e-4)


def test_the_gradient_survives_a_logit_of_minus_120() -> None:
    at = logit(-120.0)
    assert slope(ns_generator(at), at) == -1.0
    assert ns_generator(at).item() == pytest.approx(120.0)


def test_the_discriminator_loss_reaches_zero_and_is_ln_4_for_a_coin() -> None:
    assert ns_discriminator(torch.tensor([30.0]), torch.tensor([-30.0])).item() == pytest.approx(0, abs=1e-6)
    assert ns_discriminator(torch.zeros(4), torch.zeros(4)).item() == pytest.approx(math.log(4))


def test_the_non_saturating_loss_equals_cross_entropy_with_logits() -> None:
    real, fake = torch.randn(9), torch.randn(9)
    reference = functional.binary_cross_entropy_with_logits(real, torch.ones(9))
    reference += functional.binary_cross_entropy_with_logits(fake, torch.zeros(9))
    torch.testing.assert_close(ns_discriminator(real, fake), reference)


@pytest.mark.parametrize(
    ("name", "discriminator", "generator"),
    [
        ("ns", 0.313262 + 1.313262, 0.313262),
        ("ls", 0.5 * 0 + 0.5, 0.0),
        ("hinge", 0 + 2, -1.0),
        ("wgan", 0.0, -1.0),
        ("rp", math.log(2), 0.313262),
    ],
)
def test_every_adversarial_loss_has_its_value_at_logits_of_one(
    name: str, discriminator: float, generator: float
) -> None:
    ones = torch.ones(5)
    assert ADVERSARIAL[name].discriminator(ones, ones).item() == pytest.approx(discriminator, abs=1e-5)
    assert ADVERSARIAL[name].generator(ones).item() == pytest.approx(generator, abs=1e-5)


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_the_two_players_pull_in_opposite_directions(name: str) -> None:
    real, fake = logit(-0.5), logit(-0.5)
    loss = ADVERSARIAL[name].discriminator(real, fake)
    real_slope, fake_slope = torch.autograd.grad(loss, (real, fake))
    assert real_slope < 0 < fake_slope or name == "ls"
    assert slope(ADVERSARIAL[name].generator(fake), fake) < 0


def test_the_relative_game_looks_at_differences_alone() -> None:
    real, fake = torch.randn(9), torch.randn(9)
    game = ADVERSARIAL["rp"]
    assert game.relative
    torch.testing.assert_close(game.discriminator(real + 5, fake + 5), game.discriminator(real, fake))
    # Which fake meets which real image matters: the mean of the pairs is not the loss of the means.
    assert game.discriminator(real.sort().values, fake.sort().values) != game.discriminator(real, fake)


def plane(images: Tensor, weight: Tensor) -> Tensor:
    """A discriminator that is as steep everywhere: its slope is ``weight``."""
    return images.flatten(1) @ weight


def test_the_slope_of_a_plane_is_its_weight_for_every_image() -> None:
    images, weight = torch.randn(5, 1, 2, 2, requires_grad=True), torch.tensor([2.0, 0.0, -1.0, 2.0])
    torch.testing.assert_close(squared_slopes(plane(images, weight), images), torch.full((5,), 9.0))
    assert zero_centred_penalty(plane(images, weight), images).item() == pytest.approx(4.5)
    assert one_centred_penalty(plane(images, weight), images).item() == pytest.approx(4.0)


@pytest.mark.parametrize("penalty", [zero_centred_penalty, one_centred_penalty])
def test_a_penalty_does_not_depend_on_the_number_of_images(penalty: Callable[[Tensor, Tensor], Tensor]) -> None:
    weight, one = torch.randn(12), torch.randn(1, 3, 2, 2)

    def of(images: Tensor) -> float:
        images = images.requires_grad_()
        return penalty(plane(images, weight).square(), images).item()

    # The slope of the mean logit, a common mistake, would shrink with the batch.
    assert of(one.repeat(8, 1, 1, 1)) == pytest.approx(of(one.clone()), rel=1e-5)


@pytest.mark.parametrize("penalty", [zero_centred_penalty, one_centred_penalty])
def test_the_gradient_of_a_penalty_is_that_of_finite_differences(
    penalty: Callable[[Tensor, Tensor], Tensor],
) -> None:
    images = torch.randn(4, 1, 2, 2, dtype=torch.float64, requires_grad=True)

    def of(weight: Tensor) -> Tensor:
        return penalty(torch.tanh(plane(images, weight)), images)

    weight = torch.randn(4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(of, (weight,))


def test_a_flat_discriminator_has_a_finite_gradient() -> None:
    images, weight = torch.randn(3, 1, 2, 2, requires_grad=True), torch.zeros(4, requires_grad=True)
    (gradient,) = torch.autograd.grad(one_centred_penalty(plane(images, weight), images), weight)
    assert torch.isfinite(gradient).all()


def test_kl_equals_the_reference_summed_over_dimensions_and_averaged_over_the_batch() -> None:
    mean, log_variance = torch.randn(7, 5), torch.randn(7, 5)
    reference = reference_kl(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)).sum(1).mean()
    torch.testing.assert_close(kl_divergence(mean, log_variance), reference)
    assert kl_divergence(torch.zeros(3, 2), torch.zeros(3, 2)).item() == 0


def test_free_nats_cost_nothing_and_pull_at_nothing() -> None:
    # In nats: the first dimension costs 0.5 · 4 = 2, the second nothing.
    mean, log_variance = torch.tensor([[2.0, 0.0], [-2.0, 0.0]], requires_grad=True), torch.zeros(2, 2)
    assert kl_beyond(mean, log_variance, 0.0).item() == pytest.approx(kl_divergence(mean, log_variance).item())
    assert kl_beyond(mean, log_variance, 0.5).item() == pytest.approx(2.5)
    assert kl_beyond(mean, log_variance, 3.0).item() == pytest.approx(6.0)
    (gradient,) = torch.autograd.grad(kl_beyond(mean, log_variance, 3.0), mean)
    assert (gradient == 0).all()


def test_the_standard_deviation_is_the_square_root_of_the_variance() -> None:
    draw = reparameterised(torch.zeros(1, 1), torch.tensor([[math.log(9.0)]]), torch.ones(1, 1))
    assert draw.item() == pytest.approx(3.0)


def test_extreme_log_variances_stay_finite() -> None:
    bounded = bounded_log_variance(torch.tensor([-1e9, 1e9]))
    assert torch.isfinite(bounded.exp()).all()
    assert (bounded.exp() > 0).all()


def test_sigma_reconstruction_is_the_gaussian_likelihood_at_the_best_variance() -> None:
    images, decoded = torch.randn(4, 1, 3, 3), torch.randn(4, 1, 3, 3)
    mse = (images - decoded).square().mean()
    reference = functional.gaussian_nll_loss(decoded, images, mse.expand_as(images), full=True, reduction="sum") / 4
    # The soft floor lifts log σ by less than 0.003 at this error.
    torch.testing.assert_close(sigma_reconstruction(images, decoded), reference, rtol=1e-3, atol=1e-3)


def test_sigma_reconstruction_of_a_perfect_copy_is_finite_and_has_a_finite_gradient() -> None:
    decoded = torch.zeros(2, 1, 4, 4, requires_grad=True)
    loss = sigma_reconstruction(torch.zeros(2, 1, 4, 4), decoded)
    (gradient,) = torch.autograd.grad(loss, decoded)
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("name", ["mse", "l1", "bce"])
def test_reconstruction_sums_over_pixels_and_averages_over_images(name: str) -> None:
    images, decoded = torch.rand(4, 1, 3, 3) * 2 - 1, torch.rand(4, 1, 3, 3) * 1.8 - 0.9
    one_by_one = [RECONSTRUCTION[name](images[i : i + 1], decoded[i : i + 1]) for i in range(4)]
    torch.testing.assert_close(RECONSTRUCTION[name](images, decoded), torch.stack(one_by_one).mean())
    twice = RECONSTRUCTION[name](images.repeat(1, 1, 1, 2), decoded.repeat(1, 1, 1, 2))
    torch.testing.assert_close(twice, 2 * RECONSTRUCTION[name](images, decoded))


def test_bce_equals_cross_entropy_of_probabilities() -> None:
    images, decoded = torch.rand(4, 1, 3, 3) * 2 - 1, torch.rand(4, 1, 3, 3) * 1.8 - 0.9
    reference = functional.binary_cross_entropy((decoded + 1) / 2, (images + 1) / 2, reduction="sum") / 4
    torch.testing.assert_close(RECONSTRUCTION["bce"](images, decoded), reference)


def two_channels() -> Tensor:
    """One image, two channels of 1×2 places: (1, 2) and (3, −1)."""
    return torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])


def test_gram_matrices_are_the_products_of_channels_summed_over_places() -> None:
    assert gram_matrices(two_channels()).tolist() == [[[5.0, 1.0], [1.0, 10.0]]]
    shuffled = two_channels().flip(3)
    assert torch.equal(gram_matrices(shuffled), gram_matrices(two_channels()))  # wherever things are


def test_style_and_content_distances_are_those_of_gatys() -> None:
    other = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]])  # Gram matrix: the identity
    # G − A = ((4, 1), (1, 9)): 99 squared and summed; 4 · 2² channels · 2² places = 64.
    assert style_distance(two_channels(), gram_matrices(other)).tolist() == [99 / 64]
    # 0² + 2² + 3² + 2², halved.
    assert content_distance(two_channels(), other).tolist() == [17 / 2]


def test_total_variation_sums_the_steps_down_and_across() -> None:
    image = torch.tensor([[[[0.0, 1.0], [-1.0, 3.0]]]])
    assert total_variation(image).tolist() == [(1 + 2) + (1 + 4)]
    colours = torch.cat((image, torch.full_like(image, 7.0)), dim=1)
    assert total_variation(colours.repeat(2, 1, 1, 1)).tolist() == [8.0, 8.0]


@pytest.mark.parametrize("which", ["style", "content"])
def test_distances_of_maps_have_the_slope_that_small_steps_show(which: str) -> None:
    maps = torch.randn(2, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    other = torch.randn(2, 3, 2, 2, dtype=torch.float64)
    losses: dict[str, Callable[[Tensor], Tensor]] = {
        "style": lambda at: style_distance(at, gram_matrices(other)),
        "content": lambda at: content_distance(at, other),
    }
    assert torch.autograd.gradcheck(losses[which], (maps,))
