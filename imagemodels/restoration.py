"""Whole images of damaged ones, with a trained network."""

import numpy as np
import torch
from numpy.typing import NDArray

from imagemodels.batched import BatchedModel, full_batch
from imagemodels.degradations import FILLED
from imagemodels.errors import DataError
from imagemodels.memory import in_batches_that_fit
from imagemodels.networks.restoration_specs import DegradationSpec
from imagemodels.networks.unet import UNet
from imagemodels.pixels import to_float, to_uint8
from imagemodels.runtime import Runtime
from imagemodels.tiles import Tiling

Images = NDArray[np.uint8]
Holes = NDArray[np.bool_]

CPU_BATCH = 16  # tiles
CUDA_BATCH = 128


class Restorer(BatchedModel):
    """A network in eval mode that restores images of any size, in tiles of the size that it was trained on.

    Every batch has exactly ``batch_size`` tiles, the last one padded, because the size of a batch changes the last
    bits of a convolution. Where the memory does not hold a batch, it is halved, as a Generator's is.
    """

    network: UNet

    def __init__(self, network: UNet, runtime: Runtime, batch_size: int | None = None) -> None:
        super().__init__(network, runtime, full_batch(runtime, batch_size, cpu=CPU_BATCH, cuda=CUDA_BATCH))

    @property
    def damage(self) -> DegradationSpec:
        """What it was trained to restore from."""
        return self.network.spec.degradation

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
