"""What compression costs and what it loses: bits per pixel beside PSNR and SSIM, and the same of PNG and WebP."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from imagemodels.evaluation.fidelity import CHUNK, mean_ratio, psnr, ssim

Images = npt.NDArray[np.uint8]
WEBP_QUALITIES = (0, 10, 30, 50, 75, 90)
SLOWEST = 6  # of WebP's methods: the smallest files


@dataclass(frozen=True)
class Rate:
    """One way to write images, over the same images: means of n, file sizes with all headers."""

    name: str
    bits_per_pixel: float
    psnr: float | None  # dB; None: every pixel is as it was
    ssim: float
    n: int


@dataclass(frozen=True)
class _Format:
    name: str
    kind: str
    options: dict[str, Any]


REFERENCES = (
    _Format("PNG", "PNG", {"optimize": True}),
    _Format("WebP lossless", "WEBP", {"lossless": True, "method": SLOWEST}),
    *(_Format(f"WebP {q}", "WEBP", {"quality": q, "method": SLOWEST}) for q in WEBP_QUALITIES),
)


def measured_rate(
    name: str, sizes: Sequence[int], decoded: Images, originals: Images, still_here: Callable[[], None] = lambda: None
) -> Rate:
    """Return the rate of files of these sizes in bytes, whose images (N, H, W, C) are to be ``originals``.

    ``still_here`` is called now and then: many images take long to compare.
    """
    ratios, similarities = [], []
    for first in range(0, len(originals), CHUNK):
        still_here()
        pair = [_tensor(images[first : first + CHUNK]) for images in (decoded, originals)]
        ratios.append(psnr(*pair))
        similarities.append(ssim(*pair))
    lossless = np.array_equal(decoded, originals)
    return Rate(
        name=name,
        bits_per_pixel=8 * sum(sizes) / (originals.shape[0] * originals.shape[1] * originals.shape[2]),
        psnr=None if lossless else mean_ratio(torch.cat(ratios)),
        ssim=float(torch.cat(similarities).mean()),
        n=len(originals),
    )


def reference_rates(originals: Images, tell: Callable[[float], None]) -> Iterator[tuple[Rate, Images]]:
    """Yield the rate and the decoded images (N, H, W, C) of PNG and WebP, one format after the other.

    ``tell`` hears the share that is done at every image: large ones take long to write.
    """
    for number, written in enumerate(REFERENCES):
        sizes, decoded = [], np.empty_like(originals)
        for place, image in enumerate(originals):
            tell((number + place / len(originals)) / len(REFERENCES))
            content = _file(image, written)
            sizes.append(len(content))
            decoded[place] = _pixels(content, originals.shape[-1])
        share = (number + 1) / len(REFERENCES)
        yield measured_rate(written.name, sizes, decoded, originals, partial(tell, share)), decoded


def nearest_in_size(rate: Rate, references: Sequence[tuple[Rate, Images]]) -> tuple[Rate, Images]:
    """Return the reference whose files are most alike in size, as a ratio."""
    return min(references, key=lambda pair: abs(np.log(pair[0].bits_per_pixel / rate.bits_per_pixel)))


def _tensor(images: Images) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def _file(image: Images, written: _Format) -> bytes:
    content = BytesIO()
    Image.fromarray(image[:, :, 0] if image.shape[-1] == 1 else image).save(content, written.kind, **written.options)
    return content.getvalue()


def _pixels(content: bytes, channels: int) -> Images:
    with Image.open(BytesIO(content)) as image:
        pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels[:, :, None] if channels == 1 else pixels
