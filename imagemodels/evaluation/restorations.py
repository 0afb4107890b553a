"""How near restored images are to the true ones, beside how near the damaged ones were: the floor.

Shapes: N images, H and W pixels, C channels.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imagemodels.degradations import degraded, numbered_draws
from imagemodels.evaluation.fidelity import mean_ratio, psnr, ssim
from imagemodels.networks.restoration_specs import DegradationSpec
from imagemodels.pixels import to_float, to_uint8
from imagemodels.restoration import Holes, Images, Restorer

PART = 64  # images that are damaged at a time


@dataclass(frozen=True, eq=False)
class DamagedImages:
    """Damaged images (N, H, W, C), where they have holes (N, H, W), and what they should be, (N, H, W, C)."""

    images: Images
    holes: Holes | None
    truth: Images

    def __len__(self) -> int:
        return len(self.images)

    def first(self, count: int) -> "DamagedImages":
        """Return the first of them."""
        return DamagedImages(
            self.images[:count], None if self.holes is None else self.holes[:count], self.truth[:count]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fidelity:
    """Means over images: PSNR in dB, where an image without an error counts 100, and SSIM."""

    psnr: float
    ssim: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorationReport:
    """The figures of restored images and of the damaged ones, over the same ``n`` images."""

    damage: str
    n: int
    held_out: bool  # whether the model has not learnt from them
    damaged: Fidelity
    restored: Fidelity

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "RestorationReport":
        """Inverse of `to_json`; raises KeyError or TypeError for anything else."""
        figures = {way: Fidelity(**values[way]) for way in ("damaged", "restored")}
        return cls(damage=values["damage"], n=values["n"], held_out=values["held_out"], **figures)


def damaged_images(
    truth: Images, spec: DegradationSpec, seed: int, indices: NDArray[np.int64] | None = None
) -> DamagedImages:
    """Damage images (N, H, W, C), the i-th as a function of ``seed`` and ``indices[i]``, by default i, alone."""
    numbers = np.arange(len(truth), dtype=np.int64) if indices is None else indices
    parts = [_damaged(truth[first : first + PART], spec, seed, numbers[first : first + PART])
             for first in range(0, len(truth), PART)]  # fmt: skip
    holes = [part.holes for part in parts if part.holes is not None]
    return DamagedImages(
        np.concatenate([part.images for part in parts]), np.concatenate(holes) if holes else None, truth
    )


def _damaged(truth: Images, spec: DegradationSpec, seed: int, indices: NDArray[np.int64]) -> DamagedImages:
    draws = numbered_draws(seed, indices, torch.device("cpu"))
    found = degraded(to_float(_tensor(truth)), spec, draws)
    pixels = np.ascontiguousarray(to_uint8(found.images).permute(0, 2, 3, 1).numpy())
    return DamagedImages(pixels, None if found.holes is None else found.holes[:, 0].numpy(), truth)


def fidelity(images: Images, truth: Images) -> Fidelity:
    """Return how near images (N, H, W, C) are to the true ones."""
    pair = _tensor(images), _tensor(truth)
    return Fidelity(psnr=mean_ratio(psnr(*pair)), ssim=float(ssim(*pair).mean()))


def mean_noise_ratio(restorer: Restorer, pairs: DamagedImages) -> float:
    """Return the mean PSNR in dB of the restored images."""
    restored = restorer.restore(pairs.images, pairs.holes)
    return mean_ratio(psnr(_tensor(restored), _tensor(pairs.truth)))


def judge_restorations(restorer: Restorer, pairs: DamagedImages, *, held_out: bool) -> RestorationReport:
    """Measure restored images and damaged ones against the true ones."""
    return RestorationReport(
        damage=restorer.damage.name,
        n=len(pairs),
        held_out=held_out,
        damaged=fidelity(pairs.images, pairs.truth),
        restored=fidelity(restorer.restore(pairs.images, pairs.holes), pairs.truth),
    )


def before_and_after(restorer: Restorer, pairs: DamagedImages, count: int) -> Images:
    """Return images (3 · M, H, W, C) of the first ``count``, or all: in turn damaged, restored and true."""
    shown = pairs.first(count)
    rows = (shown.images, restorer.restore(shown.images, shown.holes), shown.truth)
    return np.stack(rows, axis=1).reshape(-1, *shown.truth.shape[1:])


def _tensor(images: Images) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
