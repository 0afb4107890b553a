"""The order of the training images: a function of seed and position, so that no loader state has to be stored."""

import hashlib
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from imagemodels.errors import ConfigError, DataError
from imagemodels.options import ImageOptions
from imagemodels.random import step_seed
from imagemodels.runtime import Runtime
from imagemodels.training.config import TrainConfig
from imagemodels.training.variation import varied

DIGESTED_IMAGES = 256  # hashed at a time: a copy of all of them need not fit into memory
WHOLE = slice(0, None)  # all images of a batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The images of one optimizer step, or a part of them: (N, C, H, W) in [-1, 1], labels (N,) int64 or None.

    Of sequences, the images are (N, T, C, H, W). Of pairs, the images are those to be made, of the ``given`` ones
    (N, C, H, W).
    """

    step: int
    images_seen: int  # before this step, and before the run by the weights that it began with
    images: Tensor
    labels: Tensor | None
    first: int = 0  # which image of the step the first one is
    step_images: int  # how many the whole step has
    given: Tensor | None = None

    @property
    def rows(self) -> slice:
        """Which images of the step these are."""
        return slice(self.first, self.first + len(self.images))

    @property
    def share(self) -> float:
        """How much of the step this is, from 0 to 1."""
        return len(self.images) / self.step_images

    def parts(self, size: int) -> "list[Batch]":
        """Return the batch cut into parts of ``size`` images, the last one perhaps smaller."""
        if size >= len(self.images):
            return [self]
        return [self._part(slice(first, first + size)) for first in range(0, len(self.images), size)]

    def _part(self, rows: slice) -> "Batch":
        labels = self.labels[rows] if self.labels is not None else None
        given = self.given[rows] if self.given is not None else None
        return replace(self, images=self.images[rows], labels=labels, given=given, first=self.first + rows.start)


class ImageStream:
    """An endless sequence of epochs, each a permutation of all images, cut into full batches across epoch borders.

    The images stay as uint8 on the device; there is no loader process and no copy from the host. With ``rows`` (N,),
    the N images that these numbers choose among ``images`` are trained on; they stay where they are, which may be a
    file, and each batch is copied to the device.
    """

    def __init__(
        self,
        config: TrainConfig,
        images: Tensor,
        labels: Tensor | None,
        runtime: Runtime,
        rows: Tensor | None = None,
    ) -> None:
        options = config.descent
        if not isinstance(options, ImageOptions):
            raise ConfigError(
                f"preset {config.preset!r} is trained on sequences, such as moving:digits, and was given images"
            )
        self.count = len(images) if rows is None else len(rows)
        check_images(config, images, labels, self.count)
        self.seed = config.seed
        self.images_before = config.images_before
        self.batch_size = config.effective_batch_size
        self._options = options
        self.digest = content_digest(images, labels, rows)
        self._runtime = runtime
        self._rows = rows
        images_NHWC = images.permute(0, 2, 3, 1)
        self._images_NHWC = runtime.put(images_NHWC.contiguous()) if rows is None else images_NHWC
        self._labels = runtime.put(labels) if labels is not None and config.num_classes else None
        self._epochs: dict[int, Tensor] = {}

    def batch(self, step: int, share: slice = WHOLE) -> Batch:
        """Return the batch of step number ``step``, counted from 0, or a share of its images."""
        pixels, labels = self.pictures(self._indices(step)[share])
        images = varied(pixels, self._options, lambda size, purpose: self._uniforms(step, size, purpose)[share])
        return Batch(
            step=step,
            images_seen=self.images_before + step * self.batch_size,
            images=images,
            labels=labels,
            first=share.start,
            step_images=self.batch_size,
        )

    def pictures(self, indices: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return images, uint8 (N, C, H, W), and labels (N,) or None, on the device, for ``indices`` (N,)."""
        chosen = self._runtime.put(indices)
        if self._rows is None:
            pixels_NHWC = self._images_NHWC.index_select(0, chosen)
        else:
            pixels_NHWC = self._runtime.put(self._images_NHWC.index_select(0, self._rows[indices]))
        # Channels innermost in memory, so that what is permuted is already channels_last.
        pixels = pixels_NHWC.permute(0, 3, 1, 2)
        return pixels, self._labels.index_select(0, chosen) if self._labels is not None else None

    def reseed(self, seed: int) -> None:
        """Take the order and the changes of another seed from now on."""
        self.seed = seed
        self._epochs = {}

    def _indices(self, step: int) -> Tensor:
        parts: list[Tensor] = []
        position, missing = step * self.batch_size, self.batch_size
        while missing:
            epoch, offset = divmod(position, self.count)
            part = self._permutation(epoch)[offset : offset + missing]
            parts.append(part)
            position, missing = position + len(part), missing - len(part)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _permutation(self, epoch: int) -> Tensor:
        if epoch not in self._epochs:
            generator = torch.Generator().manual_seed(step_seed(self.seed, epoch, "order"))
            self._epochs = {epoch: torch.randperm(self.count, generator=generator)}
        return self._epochs[epoch]

    def _uniforms(self, step: int, size: int, purpose: str) -> Tensor:
        generator = torch.Generator().manual_seed(step_seed(self.seed, step, purpose))
        return self._runtime.put(torch.rand(self.batch_size, size, generator=generator))


def check_images(config: TrainConfig, images: Tensor, labels: Tensor | None, count: int | None = None) -> None:
    """Raise DataError unless the images and labels are what ``config`` trains on; of the images only count are used."""
    shape = (config.channels, config.image_size, config.image_size)
    if images.dtype != torch.uint8 or images.ndim != 4 or tuple(images.shape[1:]) != shape:
        raise DataError(f"training needs uint8 images (N, {shape}), got {images.dtype} {tuple(images.shape)}")
    used = len(images) if count is None else count
    if used == 0:
        raise DataError("training needs at least one image, got none")
    if config.num_classes:
        _check_labels(labels, used, config.num_classes)


def _check_labels(labels: Tensor | None, count: int, num_classes: int) -> None:
    if labels is None:
        raise DataError(f"a model of {num_classes} classes needs labels; these images have none")
    if labels.dtype != torch.int64 or labels.shape != (count,):
        raise DataError(f"labels are int64 of shape ({count},), got {labels.dtype} {tuple(labels.shape)}")
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest >= num_classes:
        raise DataError(f"labels lie between 0 and {num_classes - 1}, got {lowest} to {highest}")


def content_digest(images: Tensor, labels: Tensor | None, rows: Tensor | None = None) -> str:
    """Return a hash of the training images and labels, by which a resumed run knows its data.

    It is the same for the images that ``rows`` choose as for those images by themselves.
    """
    digest = hashlib.blake2b(digest_size=16)
    chosen = torch.arange(len(images)) if rows is None else rows
    for part in torch.split(chosen, DIGESTED_IMAGES):
        digest.update(images.index_select(0, part).contiguous().numpy().data)
    if labels is not None:
        digest.update(labels.contiguous().numpy().data)
    return digest.hexdigest()
