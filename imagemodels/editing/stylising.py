"""Images that keep what one image shows, in the manner of another: pixels moved down a gradient.

Shapes: N images, C channels, S side in pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from imagemodels.classifier import Classifier
from imagemodels.errors import ConfigError, DataError
from imagemodels.memory import in_batches_that_fit
from imagemodels.networks.encoder import ConvEncoder
from imagemodels.objectives import content_distance, gram_matrices, style_distance, total_variation
from imagemodels.pixels import to_float, to_uint8
from imagemodels.training.adam import Adam
from imagemodels.training.discriminating import frozen

Images = NDArray[np.uint8]

BATCH = 32  # images
BETAS = (0.9, 0.999)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What is minimised, and how: content, style and total variation with their weights."""

    content_weight: float
    style_weight: float
    variation_weight: float
    iterations: int
    step_size: float  # of pixels in [-1, 1]


class Stylist:
    """A classifier whose stages say what an image shows, and in which manner (Gatys et al., arXiv 1508.06576).

    The last stage's activations are the content, the Gram matrices of all stages, alike, the style. Each image is
    moved for itself, by Adam: it is the same bytes whatever images are moved beside it. Always in fp32.
    """

    def __init__(self, classifier: Classifier, recipe: Recipe) -> None:
        if not isinstance(classifier.network, ConvEncoder):
            raise ConfigError("only a convolutional classifier has maps to compare")
        self._network, self._runtime, self._recipe = classifier.network, classifier.runtime, recipe
        self.batch_size = BATCH

    def stylised(self, contents: Images, styles: Images, on_step: Callable[[], None] = lambda: None) -> Images:
        """Return what images ``contents`` (N, H, W, C), uint8, become in the style of ``styles``, one for each.

        ``on_step`` is called before every step. Raises DataError for images of another shape than the classifier's,
        and OutOfMemory when the memory does not hold one image.
        """
        spec = self._network.spec
        shape = (spec.image_size, spec.image_size, spec.channels)
        for images in (contents, styles):
            if images.dtype != np.uint8 or images.shape[1:] != shape:
                raise DataError(f"this classifier takes uint8 images {shape}; found {images.dtype} {images.shape[1:]}")
        pairs = torch.from_numpy(np.stack((contents, styles))).permute(0, 1, 4, 2, 3)
        with self._runtime.activated(), frozen(self._network):
            parts, self.batch_size = in_batches_that_fit(
                lambda size: [self._batch(part, size, on_step) for part in torch.split(pairs, size, dim=1)],
                self.batch_size,
                "the moving of pixels",
                self._runtime.torch_device,
            )
        return np.ascontiguousarray(torch.cat(parts).permute(0, 2, 3, 1).numpy())

    def _batch(self, pairs: Tensor, size: int, on_step: Callable[[], None]) -> Tensor:
        count = pairs.shape[1]
        # The size of a batch changes the last bits of a convolution.
        padded = torch.cat((pairs, pairs.new_zeros(2, size - count, *pairs.shape[2:])), dim=1)
        contents_NCSS, styles_NCSS = (to_float(self._runtime.put(images)) for images in padded)
        loss_of = self._loss(contents_NCSS, styles_NCSS)
        pixels = nn.Parameter(contents_NCSS.clone())
        optimizer = Adam([pixels], self._recipe.step_size, betas=BETAS)
        for _ in range(self._recipe.iterations):
            on_step()
            optimizer.drop_gradients()
            torch.autograd.backward(loss_of(pixels).sum())
            optimizer.step()
            with torch.no_grad():
                pixels.clamp_(-1.0, 1.0)
        return to_uint8(pixels.detach())[:count].cpu()

    def _loss(self, contents: Tensor, styles: Tensor) -> Callable[[Tensor], Tensor]:
        """What is minimised of each image (N,)."""
        recipe = self._recipe
        with torch.no_grad():
            wanted = self._network.maps(contents)[-1]
            grams = [gram_matrices(maps) for maps in self._network.maps(styles)]

        def loss(pixels: Tensor) -> Tensor:
            stages = self._network.maps(pixels)
            style_N = torch.stack([style_distance(*pair) for pair in zip(stages, grams, strict=True)]).mean(0)
            content_N = content_distance(stages[-1], wanted)
            variation_N = total_variation(pixels)
            return (
                recipe.content_weight * content_N
                + recipe.style_weight * style_N
                + recipe.variation_weight * variation_N
            )

        return loss
