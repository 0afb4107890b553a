"""Training sequences in the order of their numbers: made when they are wanted, so that there is nothing to shuffle."""

import numpy as np
import torch

from imagemodels.data.moving import SequenceDataset
from imagemodels.errors import ConfigError, DataError
from imagemodels.options import SequenceOptions
from imagemodels.pixels import frames_to_float
from imagemodels.runtime import Runtime
from imagemodels.training.config import TrainConfig
from imagemodels.training.stream import WHOLE, Batch


class SequenceStream:
    """Batches of sequences that never repeat; step n has those from n · batch size on."""

    def __init__(self, config: TrainConfig, data: SequenceDataset, runtime: Runtime) -> None:
        options = config.model.options
        if not isinstance(options, SequenceOptions):
            raise ConfigError(f"preset {config.preset!r} is trained on images, and was given sequences")
        if (data.image_size, data.channels) != (config.image_size, config.channels):
            found = f"{data.image_size} pixels a side and {data.channels} channels"
            raise DataError(f"training needs {config.image_size} and {config.channels}; {data.name} has {found}")
        self.data = data
        self.seed = config.seed
        self.images_before = config.images_before
        self.frames = options.given_frames + options.predicted_frames
        self.batch_size = config.effective_batch_size
        self.digest = data.fingerprint
        self._runtime = runtime

    def batch(self, step: int, share: slice = WHOLE) -> Batch:
        """Return the batch of step number ``step``, counted from 0, or a share; (N, T, C, S, S) in [-1, 1]."""
        first = step * self.batch_size
        numbers = np.arange(first, first + self.batch_size, dtype=np.int64)[share]
        frames = self.data.sequences(numbers, self.frames, held_out=False, seed=self.seed)
        images = frames_to_float(self._runtime.put(torch.from_numpy(np.ascontiguousarray(frames))))
        return Batch(
            step=step,
            images_seen=self.images_before + first,
            images=images,
            labels=None,
            first=share.start,
            step_images=self.batch_size,
        )

    def reseed(self, seed: int) -> None:
        """Take the sequences of another seed from now on."""
        self.seed = seed
