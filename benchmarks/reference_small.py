"""The DCGAN and the VAE of the well-known tutorials for 32×32 pixels, with the class as an input.

Plain loops in fp32 with the usual settings, corrected to logits and to sums on both sides of the bound. Smaller images
are framed in black, and what is made is cut out of the frame.

Shapes: N images, C channels, S side in pixels, Z latent size, K classes.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

SIDE = 32  # pixels
GAN_LATENTS = 100
VAE_LATENTS = 64


class ReferenceGan:
    """The DCGAN of Radford et al., arXiv 1511.06434, one stage shorter; one-hot classes beside latents and pixels."""

    def __init__(self, channels: int, num_classes: int, width: int) -> None:
        self.num_classes = num_classes
        self.generator = nn.Sequential(
            *_up(GAN_LATENTS + num_classes, width * 4, stride=1, padding=0),
            *_up(width * 4, width * 2),
            *_up(width * 2, width),
            nn.ConvTranspose2d(width, channels, 4, 2, 1, bias=False),
            nn.Tanh(),
        )
        self.discriminator = nn.Sequential(
            *_down(channels + num_classes, width, norm=False),
            *_down(width, width * 2),
            *_down(width * 2, width * 4),
            nn.Conv2d(width * 4, 1, 4, 1, 0),
        )
        for network in (self.generator, self.discriminator):
            network.apply(_draw_weights)
        self._optimizers = [
            torch.optim.Adam(network.parameters(), 2e-4, betas=(0.5, 0.999))
            for network in (self.generator, self.discriminator)
        ]

    def step(self, reals: Tensor, labels: Tensor) -> None:
        """Take one step of the discriminator, then one of the generator, on images (N, C, 32, 32) in [-1, 1]."""
        of_generator, of_discriminator = self._optimizers
        fakes = self._made(torch.randn(len(reals), GAN_LATENTS), labels)
        loss = self._loss(reals, labels, 1.0) + self._loss(fakes.detach(), labels, 0.0)
        _descend(of_discriminator, loss)
        _descend(of_generator, self._loss(fakes, labels, 1.0))

    @torch.no_grad()
    def sample(self, generator: torch.Generator, labels: Tensor) -> Tensor:
        """Return images (N, C, 32, 32) in [-1, 1]."""
        self.generator.eval()
        images = self._made(torch.randn(len(labels), GAN_LATENTS, generator=generator), labels)
        self.generator.train()
        return images

    def _made(self, latents: Tensor, labels: Tensor) -> Tensor:
        given = torch.cat((latents, functional.one_hot(labels, self.num_classes)), dim=1)
        images: Tensor = self.generator(given[:, :, None, None])
        return images

    def _loss(self, images: Tensor, labels: Tensor, target: float) -> Tensor:
        planes = functional.one_hot(labels, self.num_classes).float()[:, :, None, None].expand(-1, -1, SIDE, SIDE)
        logits = self.discriminator(torch.cat((images, planes), dim=1)).view(-1)
        return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


class ReferenceVae:
    """A convolutional VAE as the tutorials have it: Gaussian decoder of variance one, standard normal prior."""

    def __init__(self, channels: int, num_classes: int, width: int) -> None:
        self.num_classes = num_classes
        flat = width * 4 * 16
        self.encoder = nn.Sequential(
            *_down(channels + num_classes, width),
            *_down(width, width * 2),
            *_down(width * 2, width * 4),
            nn.Flatten(),
            nn.Linear(flat, 2 * VAE_LATENTS),
        )
        self.decoder = nn.Sequential(
            nn.Linear(VAE_LATENTS + num_classes, flat),
            nn.Unflatten(1, (width * 4, 4, 4)),
            *_up(width * 4, width * 2),
            *_up(width * 2, width),
            nn.ConvTranspose2d(width, channels, 4, 2, 1),
            nn.Tanh(),
        )
        self._both = nn.ModuleList([self.encoder, self.decoder])
        self._optimizer = torch.optim.Adam(self._both.parameters(), 1e-3)

    def step(self, images: Tensor, labels: Tensor) -> None:
        """Take one step on images (N, C, 32, 32) in [-1, 1]."""
        mean, log_variance = self.encode(images, labels)
        decoded = self.decode(mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean), labels)
        reconstruction = 0.5 * (images - decoded).square().flatten(1).sum(1).mean()
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        _descend(self._optimizer, reconstruction + divergence)

    def encode(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and log variances (N, Z)."""
        planes = functional.one_hot(labels, self.num_classes).float()[:, :, None, None].expand(-1, -1, SIDE, SIDE)
        mean, log_variance = self.encoder(torch.cat((images, planes), dim=1)).chunk(2, dim=1)
        return mean, log_variance

    def decode(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Return images (N, C, 32, 32) in [-1, 1]."""
        images: Tensor = self.decoder(torch.cat((latents, functional.one_hot(labels, self.num_classes)), dim=1))
        return images

    @torch.no_grad()
    def sample(self, generator: torch.Generator, labels: Tensor) -> Tensor:
        """Return images (N, C, 32, 32) in [-1, 1]."""
        self._both.eval()
        images = self.decode(torch.randn(len(labels), VAE_LATENTS, generator=generator), labels)
        self._both.train()
        return images


def framed(images: Tensor) -> Tensor:
    """Return images (N, C, S, S) in [-1, 1] in a black frame, (N, C, 32, 32)."""
    before = (SIDE - images.shape[-1]) // 2
    after = SIDE - images.shape[-1] - before
    return functional.pad(images, (before, after, before, after), value=-1.0)


def unframed(images: Tensor, side: int) -> Tensor:
    """Return what ``framed`` was given."""
    before = (SIDE - side) // 2
    return images[:, :, before : before + side, before : before + side]


def _up(inputs: int, outputs: int, stride: int = 2, padding: int = 1) -> list[nn.Module]:
    convolution = nn.ConvTranspose2d(inputs, outputs, 4, stride, padding, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def _down(inputs: int, outputs: int, *, norm: bool = True) -> list[nn.Module]:
    middle: list[nn.Module] = [nn.BatchNorm2d(outputs)] if norm else []
    return [nn.Conv2d(inputs, outputs, 4, 2, 1, bias=not norm), *middle, nn.LeakyReLU(0.2, inplace=True)]


def _draw_weights(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, 0.0, 0.02)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    optimizer.step()
