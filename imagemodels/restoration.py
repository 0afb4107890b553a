"""Whole images of damaged ones, with a trained network."""

import numpy as np
import torch
from numpy.typing import NDArray

from imagemodels.degradations import FILLED
from imagemodels.digest import model_digest
from imagemodels.errors import DataError
from imagemodels.memory import in_batches_that_fit
from imagemodels.networks.restoration_specs import DegradationSpec
from imagemodels.networks.unet import UNet
from imagemodels.pixels import to_float, to_uint8
from imagemodels.runtime import Precision, Runtime
from imagemodels.tiles import Tiling

Images = NDArray[np.uint8]
Holes = NDArray[np.bool_]

CPU_BATCH = 16  # tiles
CUDA_BATCH = 128


class Restorer:
    """A network in eval mode that restores images of any size, in tiles of the size that it was trained on.

    Every batch has exactly ``batch_size`` tiles, the last one padded, because the size of a batch changes the last
    bits of a convolution. Where the memory does not hold a batch, it is halved, as a Generator's is.
    """

    def __init__(self, network: UNet, runtime: Runtime, batch_size: int | None = None) -> None:
        self.network = network.eval().requires_grad_(False)
        self.runtime = runtime
        self.full_batch_size = batch_size or (CUDA_BATCH if runtime.torch_device.type == "cuda" else CPU_BATCH)
        self.batch_size = self.full_batch_size

    @property
    def precision(self) -> Precision:
        """The precision of the forward pass."""
        return self.runtime.resolved_precision

    @property
    def digest(self) -> str:
        """The identity of architecture and weights, sha256 in hexadecimal."""
        return model_digest(self.network)

    @property
    def damage(self) -> DegradationSpec:
        """What it was trained to restore from."""
        return self.network.spec.degradation

    def use_full_batches(self) -> None:
        """Forget that the memory was short, so that what one task went through does not move another one's pixels."""
        self.batch_size = self.full_batch_size

    def restore(self, images: Images, holes: Holes | None = None) -> Images:
        """Return the images (N, H, W, C), uint8, restored; where holes (N, H, W) are given, in these alone.

        Raises DataError for another type or number of channels, for holes that this model does not fill, or that it
        misses, and OutOfMemory when the memory does not hold one tile.
        """
        self._check(images, holes)
        tiling = Tiling(images.shape[1], images.shape[2], self.network.spec.image_size)
        tiles = tiling.cut(images), None if holes is None else tiling.cut(holes)
        with torch.inference_mode(), self.runtime.activated():
            made, self.batch_size = in_batches_that_fit(
                lambda size: self._in_batches(*tiles, size),
                self.batch_size,
                "the restoration of images",
                self.runtime.torch_device,
            )
        joined = made if made.shape == images.shape else tiling.joined(made)
        restored: Images = to_uint8(torch.from_numpy(joined)).numpy()
        return restored if holes is None else np.where(holes[..., None], restored, images)

    def _check(self, images: Images, holes: Holes | None) -> None:
        channels = self.network.spec.channels
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != channels or 0 in images.shape:
            found = f"{images.dtype} of shape {images.shape}"
            raise DataError(f"this model restores uint8 images (N, H, W, {channels}); found {found}")
        if (holes is not None) != self.damage.has_holes:
            fills = "fills holes, and is told where they are" if holes is None else "fills no holes"
            raise DataError(f"this model, trained on {self.damage.name}, {fills}")
        if holes is not None and (holes.dtype != np.bool_ or holes.shape != images.shape[:3]):
            raise DataError(f"holes are bool of shape {images.shape[:3]}; found {holes.dtype} of shape {holes.shape}")

    def _in_batches(self, tiles: Images, holes: Holes | None, size: int) -> NDArray[np.float32]:
        made = np.empty(tiles.shape, dtype=np.float32)
        for start in range(0, len(tiles), size):
            rows = slice(start, start + size)
            made[rows] = self._batch(tiles[rows], None if holes is None else holes[rows], size)
        return made

    def _batch(self, tiles: Images, holes: Holes | None, size: int) -> NDArray[np.float32]:
        seen = to_float(self._put(tiles, size).permute(0, 3, 1, 2))
        missing = None if holes is None else self._put(holes, size)[:, None]
        with self.runtime.autocast():
            made = self.network(seen if missing is None else seen.masked_fill(missing, FILLED), missing)
        found: NDArray[np.float32] = made[: len(tiles)].clamp(-1.0, 1.0).permute(0, 2, 3, 1).cpu().numpy()
        return found

    def _put(self, rows: NDArray[np.generic], size: int) -> torch.Tensor:
        padded = np.zeros((size, *rows.shape[1:]), dtype=rows.dtype)
        padded[: len(rows)] = rows
        return self.runtime.put(torch.from_numpy(padded))
