"""What is minimised, as pure functions of fp32 tensors.

Shapes: N images, C channels, S side in pixels, Z latent size. Discriminators give logits, never probabilities:
a sigmoid followed by a cross-entropy has no gradient left at a logit of -120, where softplus still has all of it.
Autoencoder terms are summed over dimensions and averaged over the batch, both alike: averaging one of them over
pixels would silently weigh it by C·S·S.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

LOWEST_LOG_VARIANCE = -30.0
HIGHEST_LOG_VARIANCE = 20.0
SMALLEST_SQUARE = 1e-12  # added under a square root, whose gradient is infinite at zero
LOWEST_LOG_SIGMA = -6.0  # a quarter of one pixel level in [-1, 1]: the decoder cannot be surer than the data


@dataclass(frozen=True, slots=True)
class Adversarial:
    """A pair of losses: ``discriminator(real_logits, fake_logits)`` and ``generator(fake_logits)``, both scalars.

    Where the game is ``relative``, the generator's loss is of ``fake_logits - real_logits``, each fake against one
    real image.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    relative: bool = False


def ns_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Cross-entropy of real against fake (Goodfellow et al., arXiv 1406.2661, eq. 1)."""
    return functional.softplus(-real_logits).mean() + functional.softplus(fake_logits).mean()


def ns_generator(fake_logits: Tensor) -> Tensor:
    """The non-saturating loss -log D(G(z)) (arXiv 1406.2661, section 3)."""
    return functional.softplus(-fake_logits).mean()


def ls_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Least squares with targets 1 and 0 (Mao et al., arXiv 1611.04076, eq. 9)."""
    return 0.5 * ((real_logits - 1).square().mean() + fake_logits.square().mean())


def ls_generator(fake_logits: Tensor) -> Tensor:
    """Least squares with target 1 (arXiv 1611.04076, eq. 9)."""
    return 0.5 * (fake_logits - 1).square().mean()


def hinge_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """The hinge loss (Lim & Ye, arXiv 1705.02894; arXiv 1802.05957, eq. 16)."""
    return functional.relu(1 - real_logits).mean() + functional.relu(1 + fake_logits).mean()


def wgan_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """The negative Wasserstein estimate (Arjovsky et al., arXiv 1701.07875, eq. 2); needs a Lipschitz bound."""
    return fake_logits.mean() - real_logits.mean()


def mean_generator(fake_logits: Tensor) -> Tensor:
    """The generator's side of the hinge and the Wasserstein loss."""
    return -fake_logits.mean()


def rp_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Each real image against one fake (Jolicoeur-Martineau, arXiv 1807.00734; Huang et al., arXiv 2501.05441, eq. 2).

    The generator's side is the non-saturating loss of the difference.
    """
    return functional.softplus(fake_logits - real_logits).mean()


ADVERSARIAL: Mapping[str, Adversarial] = {
    "ns": Adversarial(ns_discriminator, ns_generator),
    "ls": Adversarial(ls_discriminator, ls_generator),
    "hinge": Adversarial(hinge_discriminator, mean_generator),
    "wgan": Adversarial(wgan_discriminator, mean_generator),
    "rp": Adversarial(rp_discriminator, ns_generator, relative=True),
}


def squared_slopes(logits: Tensor, images: Tensor) -> Tensor:
    """The squared length (N,) of each logit's gradient by its own image (N, C, S, S), itself differentiable.

    Exact where no layer mixes the images of a batch, as a batch norm does.
    """
    (gradient_NCSS,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient_NCSS.square().flatten(1).sum(1)


def zero_centred_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """Half the mean squared slope (Mescheder et al., arXiv 1801.04406, eq. 9): R1 on real images, R2 on fakes."""
    return 0.5 * squared_slopes(logits, images).mean()


def one_centred_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """The mean squared distance of the slope from one (Gulrajani et al., arXiv 1704.00028, eq. 3).

    The images lie between reals and fakes.
    """
    lengths_N = (squared_slopes(logits, images) + SMALLEST_SQUARE).sqrt()
    return (lengths_N - 1).square().mean()


def sigma_reconstruction(images: Tensor, decoded: Tensor) -> Tensor:
    """Negative log likelihood in nats of a Gaussian decoder whose variance is optimal for the batch.

    σ² is the mean squared error of the batch (Rybkin et al., arXiv 2006.13202, section 4.2), which balances the
    two terms of the VAE without a weight to tune.
    """
    squared_NCSS = (images - decoded).square()
    log_sigma = _soft_floor(0.5 * squared_NCSS.mean().clamp_min(1e-20).log(), LOWEST_LOG_SIGMA)
    nats_NCSS = 0.5 * squared_NCSS * torch.exp(-2 * log_sigma) + log_sigma + 0.5 * math.log(2 * math.pi)
    return nats_NCSS.flatten(1).sum(1).mean()


def mse_reconstruction(images: Tensor, decoded: Tensor) -> Tensor:
    """Half the squared error: a Gaussian decoder of variance one."""
    return 0.5 * (images - decoded).square().flatten(1).sum(1).mean()


def l1_reconstruction(images: Tensor, decoded: Tensor) -> Tensor:
    """The absolute error: a Laplace decoder of scale one."""
    return (images - decoded).abs().flatten(1).sum(1).mean()


def bce_reconstruction(images: Tensor, decoded: Tensor) -> Tensor:
    """Cross-entropy between pixels taken as probabilities of white; both arguments in [-1, 1].

    The decoder ends in tanh, and tanh(u) in [-1, 1] is sigmoid(2u) in [0, 1]: the logit is 2·artanh.
    """
    logits_NCSS = 2 * torch.atanh(decoded.clamp(-1 + 1e-6, 1 - 1e-6))
    white_NCSS = (images + 1) / 2
    losses = functional.binary_cross_entropy_with_logits(logits_NCSS, white_NCSS, reduction="none")
    return losses.flatten(1).sum(1).mean()


RECONSTRUCTION: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "sigma": sigma_reconstruction,
    "mse": mse_reconstruction,
    "l1": l1_reconstruction,
    "bce": bce_reconstruction,
}


def per_value(loss: Tensor, images: Tensor) -> Tensor:
    """A reconstruction of images (N, C, S, S), which is summed over an image's values, as their mean instead.

    So it stands beside an adversarial loss in the papers (Isola et al., arXiv 1611.07004, eq. 4, weight 100).
    """
    return loss / images[0].numel()


def gram_matrices(maps: Tensor) -> Tensor:
    """Return the products (N, C, C) of each two channels of ``maps`` (N, C, H, W), summed over places.

    Gatys et al., arXiv 1508.06576, eq. 3: what goes together, wherever it is.
    """
    flat_NCP = maps.flatten(2)
    return flat_NCP @ flat_NCP.transpose(1, 2)


def style_distance(maps: Tensor, grams: Tensor) -> Tensor:
    """Return how far (N,) the Gram matrices of ``maps`` (N, C, H, W) are from ``grams`` (N, C, C).

    Gatys et al., arXiv 1508.06576, eq. 4: ‖G − A‖² / 4C²P², P places.
    """
    _, channels, height, width = maps.shape
    squared_N = (gram_matrices(maps) - grams).square().flatten(1).sum(1)
    return squared_N / (2 * channels * height * width) ** 2


def content_distance(maps: Tensor, wanted: Tensor) -> Tensor:
    """Return half the squared distance (N,) of maps (N, C, H, W) (Gatys et al., arXiv 1508.06576, eq. 1)."""
    return 0.5 * (maps - wanted).square().flatten(1).sum(1)


def total_variation(images: Tensor) -> Tensor:
    """Return the summed differences (N,) of neighbouring pixels, down and across, of images (N, C, S, S).

    The anisotropic form of Rudin et al., Physica D 60 (1992).
    """
    down_N = images.diff(dim=2).abs().flatten(1).sum(1)
    across_N = images.diff(dim=3).abs().flatten(1).sum(1)
    return down_N + across_N


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) ‖ N(0, 1)) in nats, for (N, Z) each: summed over Z, averaged over N.

    Kingma & Welling, arXiv 1312.6114, appendix B.
    """
    return _nats(mean, log_variance).sum(1).mean()


def kl_beyond(mean: Tensor, log_variance: Tensor, free_nats: float) -> Tensor:
    """The KL divergence where each dimension costs at least ``free_nats``, so that none is given up for little.

    Means over the batch first (Kingma et al., arXiv 1606.04934, appendix C.8); below the bound there is no gradient.
    """
    return _nats(mean, log_variance).mean(0).clamp_min(free_nats).sum()


def _nats(mean: Tensor, log_variance: Tensor) -> Tensor:
    """The divergence (N, Z) of each dimension from the standard normal."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def reparameterised(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """Return a draw (N, Z) from N(mean, exp(log_variance)) that lets gradients through, from standard ``noise``."""
    return mean + torch.exp(0.5 * log_variance) * noise


def bounded_log_variance(log_variance: Tensor) -> Tensor:
    """Return log variances clamped to where their exponential and its square root are finite and not zero."""
    return log_variance.clamp(LOWEST_LOG_VARIANCE, HIGHEST_LOG_VARIANCE)


def _soft_floor(value: Tensor, floor: float) -> Tensor:
    """Bound ``value`` smoothly from below, so that the gradient never stops."""
    return floor + functional.softplus(value - floor)
