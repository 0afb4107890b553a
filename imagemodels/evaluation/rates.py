"""What compression costs and what it loses: bits per pixel beside PSNR and SSIM, and the same of PNG and WebP."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from imagemodels.evaluation.fidelity import psnr, ssim

Images = npt.NDArray[np.uint8]
WEBP_QUALITIES = (0, 10, 30, 50, 75, 90)
SLOWEST = 6  # of WebP's methods: the smallest files
HIGHEST_PSNR = 100.0  # dB; an image without an error counts as much in a mean


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


def measured_rate(name: str, sizes: Sequence[int], decoded: Images, originals: Images) -> Rate:
    """Return the rate of files of these sizes in bytes, whose images (N, H, W, C) are to be ``originals``."""
    pixels = originals.shape[0] * originals.shape[1] * originals.shape[2]
    pair = _tensor(decoded), _tensor(originals)
    lossless = np.array_equal(decoded, originals)
    return Rate(
        name=name,
        bits_per_pixel=8 * sum(sizes) / pixels,
        psnr=None if lossless else float(psnr(*pair).clamp_max(HIGHEST_PSNR).mean()),
        ssim=float(ssim(*pair).mean()),
        n=len(originals),
    )


def reference_rates(originals: Images, tell: Callable[[float], None]) -> list[tuple[Rate, Images]]:
    """Return the rate and the decoded images (N, H, W, C) of PNG and WebP; ``tell`` hears the share that is done."""
    found = []
    for number, written in enumerate(REFERENCES):
        tell(number / len(REFERENCES))
        files = [_file(image, written) for image in originals]
        decoded = np.stack([_pixels(content, originals.shape[-1]) for content in files])
        found.append((measured_rate(written.name, [len(content) for content in files], decoded, originals), decoded))
    return found


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
