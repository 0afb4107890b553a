"""Images to compressed files and back, with a trained autoencoder."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imagemodels.coding.files import CodeFormat
from imagemodels.digest import model_digest
from imagemodels.errors import DataError
from imagemodels.memory import in_batches_that_fit
from imagemodels.networks.fsq import FsqAutoencoder
from imagemodels.pixels import to_float, to_uint8
from imagemodels.runtime import Runtime

CODEC_BATCH = 64  # images


class Codec:
    """An autoencoder in eval mode that writes and reads files, always in fp32.

    A file's codes are read the same on every machine. The pixels that a network makes of them may differ in a level
    between builds of torch, kinds of processors, numbers of threads, and sizes of batches. Where these are the same
    they are the same bytes: the last batch is padded. ``batch_size`` is that of the last call, which halves it when the
    memory runs out.
    """

    def __init__(self, network: FsqAutoencoder, runtime: Runtime) -> None:
        self.network = network.eval().requires_grad_(False)
        self.runtime = runtime
        self.batch_size = CODEC_BATCH
        self.digest = model_digest(network)
        self._format = CodeFormat(
            self.digest, network.spec.levels, network.plan.base_side, network.frequencies.cpu().numpy()
        )

    def use_full_batches(self) -> None:
        """Forget that the memory was short."""
        self.batch_size = CODEC_BATCH

    def codes(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the codes (N, D, B, B), uint8, of images (N, H, W, C), uint8.

        Raises DataError for images of another shape than the model's.
        """
        spec = self.network.spec
        if images.dtype != np.uint8 or images.shape[1:] != (spec.image_size, spec.image_size, spec.channels):
            wanted = f"{spec.image_size} × {spec.image_size} pixels in {spec.channels} channels"
            raise DataError(f"this model compresses images of {wanted}; found {images.dtype} {images.shape[1:]}")
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
        return self._in_batches(pixels, lambda batch: self.network.encode(to_float(batch)))

    def pixels(self, codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the images (N, H, W, C), uint8, that codes (N, D, B, B) are decoded to."""
        decoded = self._in_batches(torch.from_numpy(codes), lambda batch: to_uint8(self.network.decode(batch)))
        return np.ascontiguousarray(decoded.transpose(0, 2, 3, 1))

    def compress(self, images: NDArray[np.uint8]) -> list[bytes]:
        """Return one file for each of the images (N, H, W, C), uint8."""
        return [self._format.write(codes) for codes in self.codes(images)]

    def decompress(self, files: Sequence[bytes]) -> NDArray[np.uint8]:
        """Return the images (N, H, W, C), uint8, of files.  Raises DamagedFile."""
        return self.pixels(np.stack([self._format.read(content) for content in files]))

    def read(self, content: bytes) -> NDArray[np.uint8]:
        """Return the codes (D, B, B), uint8, of one file.  Raises DamagedFile."""
        return self._format.read(content)

    def _in_batches(self, rows: Tensor, work: Callable[[Tensor], Tensor]) -> NDArray[np.uint8]:
        """Raises OutOfMemory when the memory does not hold one image on its way through the network."""
        with torch.inference_mode(), self.runtime.activated():
            parts, self.batch_size = in_batches_that_fit(
                lambda size: [self._batch(part, size, work) for part in torch.split(rows, size)],
                self.batch_size,
                "the coding of images",
                self.runtime.torch_device,
            )
        found: NDArray[np.uint8] = torch.cat(parts).numpy()
        return found

    def _batch(self, rows: Tensor, size: int, work: Callable[[Tensor], Tensor]) -> Tensor:
        # The size of a batch changes the last bits of a convolution.
        padded = torch.cat((rows, rows.new_zeros(size - len(rows), *rows.shape[1:]))) if len(rows) < size else rows
        return work(self.runtime.put(padded))[: len(rows)].cpu()
