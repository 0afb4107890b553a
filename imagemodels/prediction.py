"""The next frames of sequences from a trained network."""

import numpy as np
import torch
from numpy.typing import NDArray

from imagemodels.batched import BatchedModel, full_batch
from imagemodels.errors import ConfigError
from imagemodels.memory import in_batches_that_fit
from imagemodels.networks.sequence import SequencePredictor
from imagemodels.pixels import frames_to_float, to_uint8
from imagemodels.runtime import Runtime

Frames = NDArray[np.uint8]

CPU_BATCH = 8  # sequences
CUDA_BATCH = 64


class Predictor(BatchedModel):
    """A recurrent network in eval mode that goes on with given frames.

    Every batch has exactly ``batch_size`` sequences, the last one padded, because the size of a batch changes the
    last bits of a convolution. Where the memory does not hold a batch, it is halved, as a Generator's is.
    """

    network: SequencePredictor

    def __init__(self, network: SequencePredictor, runtime: Runtime, batch_size: int | None = None) -> None:
        super().__init__(network, runtime, full_batch(runtime, batch_size, cpu=CPU_BATCH, cuda=CUDA_BATCH))

    @property
    def given_frames(self) -> int:
        """After how many frames it was trained to go on by itself."""
        return self.network.spec.given_frames

    def predict(self, given: Frames, frames: int) -> Frames:
        """Return the ``frames`` that follow ``given``, uint8 (N, T, S, S, C): uint8 (N, ``frames``, S, S, C).

        Raises ConfigError when the given frames do not fit or none is asked for, and OutOfMemory when the memory does
        not hold one sequence.
        """
        self._check(given, frames)
        with torch.inference_mode(), self.runtime.activated():
            predicted, self.batch_size = in_batches_that_fit(
                lambda size: self._in_batches(given, frames, size),
                self.batch_size,
                "the prediction of frames",
                self.runtime.torch_device,
            )
        return predicted

    def _check(self, given: Frames, frames: int) -> None:
        spec = self.network.spec
        shape = (spec.image_size, spec.image_size, spec.channels)
        if given.dtype != np.uint8 or given.ndim != 5 or given.shape[2:] != shape or not given.shape[1]:
            wanted = f"uint8 of shape (N, T, {', '.join(map(str, shape))}) with T of at least 1"
            raise ConfigError(f"given frames are {wanted}; got {given.dtype} {given.shape}")
        if frames < 1:
            raise ConfigError(f"at least one frame can be predicted, got {frames}")

    def _in_batches(self, given: Frames, frames: int, size: int) -> Frames:
        predicted = np.empty((len(given), frames, *given.shape[2:]), dtype=np.uint8)
        for start in range(0, len(given), size):
            part = given[start : start + size]
            predicted[start : start + size] = self._batch(part, frames, size)
        return predicted

    def _batch(self, given: Frames, frames: int, size: int) -> Frames:
        padded = np.zeros((size, *given.shape[1:]), dtype=np.uint8)
        padded[: len(given)] = given
        with self.runtime.autocast():
            known = frames_to_float(self.runtime.put(torch.from_numpy(padded)))
            made = self.network(known, given.shape[1] - 1 + frames)
        wanted = to_uint8(made[: len(given), -frames:]).permute(0, 1, 3, 4, 2)
        pixels: Frames = wanted.cpu().numpy()
        return pixels
