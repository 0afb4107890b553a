"""The training loop of the well-known DCGAN tutorials, corrected to logits: the baseline of the speed comparison.

NCHW memory, fp32, unfused Adam, three passes through a discriminator that is never frozen, the losses read with
``.item()`` in every step.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


def reference_generator(latent_size: int, width: int, channels: int) -> nn.Sequential:
    """Return the 64×64 generator of Radford et al., arXiv 1511.06434: (N, Z, 1, 1) to (N, C, 64, 64)."""
    layers: list[nn.Module] = []
    widths = (width * 8, width * 4, width * 2, width)
    for inputs, outputs, stride in zip((latent_size, *widths), widths, (1, 2, 2, 2), strict=False):
        layers.append(nn.ConvTranspose2d(inputs, outputs, 4, stride, 0 if stride == 1 else 1, bias=False))
        layers += [nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    layers += [nn.ConvTranspose2d(width, channels, 4, 2, 1, bias=False), nn.Tanh()]
    return nn.Sequential(*layers)


def reference_discriminator(width: int, channels: int) -> nn.Sequential:
    """Return its discriminator: (N, C, 64, 64) to logits (N, 1, 1, 1)."""
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
    for inputs, outputs in ((width, width * 2), (width * 2, width * 4), (width * 4, width * 8)):
        layers += [nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs)]
        layers.append(nn.LeakyReLU(0.2, inplace=True))
    layers.append(nn.Conv2d(width * 8, 1, 4, 1, 0))
    return nn.Sequential(*layers)


class ReferenceTrainer:
    """Generator, discriminator and one step of each."""

    def __init__(self, generator: nn.Module, discriminator: nn.Module, learning_rate: float = 2e-4) -> None:
        self.generator = generator
        self.discriminator = discriminator
        betas = (0.5, 0.999)
        self.generator_optimizer = torch.optim.Adam(generator.parameters(), learning_rate, betas=betas)
        self.discriminator_optimizer = torch.optim.Adam(discriminator.parameters(), learning_rate, betas=betas)

    def step(self, pixels: Tensor, latents: Tensor) -> tuple[float, float]:
        """Take one step on uint8 images (N, C, 64, 64) and latents (N, Z); return the two losses."""
        reals = pixels.float() / 127.5 - 1
        ones, zeros = torch.ones(len(reals)), torch.zeros(len(reals))
        self.discriminator.zero_grad()
        real_loss = self._loss(reals, ones)
        torch.autograd.backward(real_loss)
        fakes = self.generator(latents[:, :, None, None])
        fake_loss = self._loss(fakes.detach(), zeros)
        torch.autograd.backward(fake_loss)
        self.discriminator_optimizer.step()
        self.generator.zero_grad()
        generator_loss = self._loss(fakes, ones)
        torch.autograd.backward(generator_loss)
        self.generator_optimizer.step()
        return (real_loss + fake_loss).item(), generator_loss.item()

    def _loss(self, images: Tensor, targets: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(self.discriminator(images).view(-1), targets)
