"""Training an autoencoder that compresses."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from imagemodels.coding.tables import fitted_tables
from imagemodels.evaluation.fidelity import mean_ratio, psnr
from imagemodels.memory import in_batches_that_fit
from imagemodels.networks.fsq import FsqAutoencoder
from imagemodels.networks.spatialspecs import FsqSpec
from imagemodels.objectives import RECONSTRUCTION
from imagemodels.options import CodecOptions
from imagemodels.pixels import to_float, to_uint8
from imagemodels.random import step_seed
from imagemodels.runtime import Runtime
from imagemodels.training.config import TrainConfig
from imagemodels.training.stream import Batch, ImageStream
from imagemodels.training.task import Task, new_optimizer

FITTED_PLACES = 1_000_000  # of codes that the frequencies are counted over, about
BATCH = 128  # images
MEASURED = 512  # of the training images


class CodecTask(Task):
    """Encoder, rounding and decoder under one optimizer; the rate is fixed, so the error is all there is to lower."""

    def __init__(self, config: TrainConfig, options: CodecOptions, runtime: Runtime) -> None:
        super().__init__(config, runtime)
        self.options = options
        self.autoencoder = FsqAutoencoder(fsq_spec(config, options))
        self.networks = {"autoencoder": self.autoencoder}
        runtime.place(self.autoencoder).train()
        self.optimizers = {"autoencoder": new_optimizer(self.autoencoder, options, options.learning_rate)}

    @property
    def product(self) -> nn.Module:
        """The whole autoencoder."""
        return self.autoencoder

    def step(self, batch: Batch, micro_batch: int | None = None) -> dict[str, Tensor]:
        """Lower the error of the decoded images."""
        return self.descend("autoencoder", batch.parts(micro_batch or len(batch.images)), self._losses)

    def _losses(self, part: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        with self.runtime.autocast():
            decoded = self.autoencoder(part.images)
        loss = RECONSTRUCTION[self.options.reconstruction](part.images, decoded)
        return loss, {"reconstruction": loss}


def fsq_spec(config: TrainConfig, options: CodecOptions) -> FsqSpec:
    """Return what the autoencoder of this run is made of."""
    return FsqSpec(
        image_size=config.image_size,
        channels=config.channels,
        width=options.width,
        halvings=options.halvings,
        blocks=options.blocks,
        levels=options.code_levels,
    )


def fit_frequencies(network: FsqAutoencoder, stream: ImageStream, runtime: Runtime, seed: int) -> None:
    """Count which codes the training images have, or as many of them as tell enough."""
    count = max(1, FITTED_PLACES // network.plan.base_side**2)
    generator = torch.Generator().manual_seed(step_seed(seed, 0, "frequencies"))
    chosen = torch.randperm(stream.count, generator=generator)[:count]
    codes = _passed(chosen, stream, runtime, network.encode)
    network.use_frequencies(fitted_tables(codes.numpy(), network.spec.levels))


def mean_noise_ratio(network: FsqAutoencoder, stream: ImageStream, runtime: Runtime) -> float:
    """Return the mean PSNR in dB of the first training images, as the network decodes them."""
    originals, decoded = _decoded(network, stream, runtime, MEASURED)
    return mean_ratio(psnr(decoded, originals))


def side_by_side(network: FsqAutoencoder, stream: ImageStream, runtime: Runtime, count: int) -> NDArray[np.uint8]:
    """Return ``count`` images (N, H, W, C): in turn a training image, and what the network decodes it to."""
    originals, decoded = _decoded(network, stream, runtime, -(-count // 2))
    pairs = torch.stack((originals, decoded), dim=1).flatten(0, 1)[:count]
    return np.ascontiguousarray(pairs.permute(0, 2, 3, 1).numpy())


def _decoded(network: FsqAutoencoder, stream: ImageStream, runtime: Runtime, count: int) -> tuple[Tensor, Tensor]:
    """The first training images (N, C, H, W), and as decoded: both uint8 on the CPU."""
    chosen = torch.arange(min(count, stream.count))
    originals, _labels = stream.pictures(chosen)
    return originals.cpu(), _passed(chosen, stream, runtime, lambda images: to_uint8(network(images)))


def _passed(chosen: Tensor, stream: ImageStream, runtime: Runtime, work: Callable[[Tensor], Tensor]) -> Tensor:
    """What ``work`` makes of the images of these numbers, on the CPU."""
    with torch.inference_mode(), runtime.activated():
        parts, _size = in_batches_that_fit(
            lambda size: [work(to_float(stream.pictures(part)[0])).cpu() for part in torch.split(chosen, size)],
            BATCH,
            "the coding of images",
            runtime.torch_device,
        )
    return torch.cat(parts)
