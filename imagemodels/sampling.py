"""Images from a trained network: each a function of model, seed, index and class, whatever the batches were."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imagemodels import random
from imagemodels.batched import BatchedModel, full_batch
from imagemodels.errors import ConfigError, DataError
from imagemodels.lanes import Lanes
from imagemodels.latents import LatentSource
from imagemodels.memory import in_batches_that_fit
from imagemodels.networks.architectures import Decoder
from imagemodels.networks.blocks import weighted_layers
from imagemodels.networks.features import FeatureEncoder
from imagemodels.pixels import copy_into, to_float, to_uint8
from imagemodels.places import nothing
from imagemodels.runtime import Runtime

CPU_BATCH = 64  # images
CUDA_BATCH = 512


class Generator(BatchedModel):
    """A decoder in eval mode that makes numbered images.

    Every batch has exactly ``batch_size`` images, the last one padded, because the size of a batch changes the last
    bits of a convolution. Images are equal, byte for byte, for the same weights, seed, index, class, device,
    precision and batch size.

    When the memory does not hold a batch, the images are made in batches of half the size, all that were asked for
    at once alike. ``batch_size`` tells which, until ``use_full_batches``; the smaller size may move a few of a hundred
    thousand pixel values by a level.
    """

    network: Decoder

    def __init__(self, network: Decoder, runtime: Runtime, batch_size: int | None = None) -> None:
        super().__init__(network, runtime, full_batch(runtime, batch_size, cpu=CPU_BATCH, cuda=CUDA_BATCH))
        self._latents = LatentSource(network)
        self._fast = _inference_copy(network, runtime)
        self._lanes: Lanes | None = None  # of a GPU, for batches of the present size

    @property
    def num_classes(self) -> int:
        """The number of classes, 0 when unconditional."""
        return self.network.spec.num_classes

    def sample(
        self, seed: int, indices: NDArray[np.int64], labels: NDArray[np.int64] | None = None
    ) -> NDArray[np.uint8]:
        """Return the images (N, H, W, C), uint8, with the numbers ``indices`` (N,) of the series ``seed``.

        Without ``labels`` (N,) a conditional model gives image i the class i mod K.
        Raises ConfigError when labels are given to an unconditional model or do not fit, and OutOfMemory when the
        memory does not hold the making of one image.
        """
        indices = np.asarray(indices, dtype=np.int64)
        labels = self._labels(indices, labels)
        return self._decoded(self._latents.draw(seed, indices, labels), labels)

    def sample_into(
        self,
        places: Sequence[NDArray[np.uint8]],
        seed: int,
        indices: NDArray[np.int64],
        labels: NDArray[np.int64] | None = None,
    ) -> Callable[[], None]:
        """Begin to make the images that ``sample`` returns, into arrays (N₁, H, W, C), (N₂, H, W, C), … of N in all.

        They are there when the function that is returned has been called. Meanwhile a GPU goes on by itself, with two
        batches at most: the call after the next one waits for it. Raises as ``sample`` does.
        """
        indices = np.asarray(indices, dtype=np.int64)
        labels = self._labels(indices, labels)
        if self.runtime.torch_device.type != "cuda":
            copy_into(places, self._decoded(self._latents.draw(seed, indices, labels), labels))
            return nothing
        latents = self._latents.draw_with_threads(seed, indices, labels)
        with torch.inference_mode(), self.runtime.activated():
            wait, self.batch_size = in_batches_that_fit(
                lambda size: self._lanes_of(size).start(places, latents, labels),
                self.batch_size,
                "the making of images",
                self.runtime.torch_device,
                undo=self._forget_lanes,
            )
        return wait

    def latents(
        self,
        seed: int,
        indices: NDArray[np.int64],
        labels: NDArray[np.int64] | None = None,
        *,
        truncation: float = 1.0,
    ) -> NDArray[np.float32]:
        """Return the latents (N, Z), float32, of the images that ``sample`` makes of the same arguments.

        With ``truncation``, from 0 to 1, they lie nearer to the centre: more typical images, and less variety.
        """
        indices = np.asarray(indices, dtype=np.int64)
        return self._latents.draw(seed, indices, self._labels(indices, labels), truncation)

    def decode(self, latents: NDArray[np.float32], labels: NDArray[np.int64] | None) -> NDArray[np.uint8]:
        """Return the images (N, H, W, C), uint8, of latents (N, Z) and, of a conditional model, classes (N,).

        Raises ConfigError and OutOfMemory as ``sample`` does, and ConfigError when a conditional model gets no classes.
        """
        if self.num_classes and labels is None:
            raise ConfigError("a conditional model makes images of latents and labels; the labels are missing")
        return self._decoded(latents, self._labels(np.arange(len(latents), dtype=np.int64), labels))

    @property
    def has_encoder(self) -> bool:
        """Whether it finds the latents of images."""
        return self.network.encoder is not None

    def encode(self, images: NDArray[np.uint8], labels: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Return the latents (N, Z), float32, of images (N, H, W, C), uint8: the means that the encoder gives, in fp32.

        Raises ConfigError when the model has no encoder or is conditional and gets no classes (N,), DataError for
        images of another shape than the model's, and OutOfMemory as ``sample`` does.
        """
        encoder, spec = self.network.encoder, self.network.spec
        if encoder is None:
            raise ConfigError("this model has no encoder: it cannot find the latents of images")
        if images.dtype != np.uint8 or images.shape[1:] != (spec.image_size, spec.image_size, spec.channels):
            wanted = f"{spec.image_size} × {spec.image_size} pixels in {spec.channels} channels"
            raise DataError(f"this model encodes images of {wanted}; found {images.dtype} {images.shape[1:]}")
        if self.num_classes and labels is None:
            raise ConfigError("a conditional model encodes images and their labels; the labels are missing")
        rows = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
        classes = self._labels(np.arange(len(images), dtype=np.int64), labels)

        def encoded(size: int) -> list[Tensor]:
            starts = range(0, len(rows), size)
            return [self._encoded_batch(encoder, rows[at : at + size], _part(classes, at, size), size) for at in starts]

        with torch.inference_mode(), self.runtime.activated():
            parts, self.batch_size = in_batches_that_fit(
                encoded, self.batch_size, "the encoding of images", self.runtime.torch_device
            )
        latents: NDArray[np.float32] = torch.cat(parts).numpy()
        return latents

    def _encoded_batch(self, encoder: FeatureEncoder, images: Tensor, labels: Tensor | None, size: int) -> Tensor:
        pixels_NCHW = to_float(self.runtime.put(_padded(images, size)))
        labels_N = self.runtime.put(_padded(labels, size)) if labels is not None else None
        means_NZ: Tensor = encoder(pixels_NCHW, labels_N).chunk(2, dim=1)[0]
        return means_NZ[: len(images)].float().cpu()

    @contextmanager
    def watched(self, hook: Callable[..., None], *, layers: bool = False) -> Iterator[None]:
        """Tell ``hook`` (module, inputs, output) of each pass of the network, or of each of its layers, meanwhile.

        What ``sample_into`` makes on a GPU is not seen: its passes are recorded once.
        """
        modules = list(self._fast.modules()) if layers else [self._fast]
        handles = [module.register_forward_hook(hook) for module in modules]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _lanes_of(self, size: int) -> Lanes:
        if self._lanes is None or self._lanes.batch_size != size:
            self._forget_lanes()
            # They know the network alone: did they know this object too, its memory would outlive it.
            self._lanes = Lanes(partial(_pixels, self._fast), self.network, size, self.runtime.torch_device)
        return self._lanes

    def _forget_lanes(self) -> None:
        if self._lanes is not None:
            self._lanes.settle()
        self._lanes = None

    def _decoded(self, latents: NDArray[np.float32], labels: NDArray[np.int64] | None) -> NDArray[np.uint8]:
        with torch.inference_mode(), self.runtime.activated():
            images, self.batch_size = in_batches_that_fit(
                lambda size: self._in_batches(latents, labels, size),
                self.batch_size,
                "the making of images",
                self.runtime.torch_device,
            )
        return images

    def _in_batches(
        self, latents: NDArray[np.float32], labels: NDArray[np.int64] | None, size: int
    ) -> NDArray[np.uint8]:
        side = self.network.spec.image_size
        images = np.empty((len(latents), side, side, self.network.spec.channels), dtype=np.uint8)
        for start in range(0, len(latents), size):
            part = slice(start, start + size)
            images[part] = self._batch(latents[part], labels[part] if labels is not None else None, size)
        return images

    def _batch(self, latents: NDArray[np.float32], labels: NDArray[np.int64] | None, size: int) -> NDArray[np.uint8]:
        latents_NZ = self.runtime.put(_padded(torch.from_numpy(latents), size))
        labels_N = self.runtime.put(_padded(torch.from_numpy(labels), size)) if labels is not None else None
        pixels: NDArray[np.uint8] = _pixels(self._fast, latents_NZ, labels_N)[: len(latents)].cpu().numpy()
        return pixels

    def _labels(self, indices: NDArray[np.int64], labels: NDArray[np.int64] | None) -> NDArray[np.int64] | None:
        if not self.num_classes:
            if labels is not None:
                raise ConfigError("labels were given, but this model is unconditional; leave them out")
            return None
        if labels is None:
            return random.labels(indices, self.num_classes)
        labels = np.asarray(labels, dtype=np.int64)
        if labels.shape != indices.shape:
            raise ConfigError(f"{len(indices)} indices need as many labels, got shape {labels.shape}")
        if labels.size and (labels.min() < 0 or labels.max() >= self.num_classes):
            found = f"{labels.min()} to {labels.max()}"
            raise ConfigError(f"labels lie between 0 and {self.num_classes - 1}, got {found}")
        return labels


def _pixels(network: Decoder, latents_NZ: Tensor, labels_N: Tensor | None) -> Tensor:
    """The images (N, H, W, C), uint8, of one batch, where it is computed."""
    return to_uint8(network(latents_NZ, labels_N)).permute(0, 2, 3, 1)


def _padded(rows: Tensor, count: int) -> Tensor:
    if len(rows) == count:
        return rows
    return torch.cat((rows, rows.new_zeros(count - len(rows), *rows.shape[1:])))


def _part(labels: NDArray[np.int64] | None, start: int, size: int) -> Tensor | None:
    return torch.from_numpy(labels[start : start + size]) if labels is not None else None


def _inference_copy(network: Decoder, runtime: Runtime) -> Decoder:
    """Return the network that computes: in bf16 its weights are converted once instead of in every pass."""
    if runtime.resolved_precision == "fp32":
        return network
    fast = deepcopy(network)
    for layer in weighted_layers(fast):
        layer.to(torch.bfloat16)
    return fast
