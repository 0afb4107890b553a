"""Training and sampling in a line each, for a shell or a notebook."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imagemodels.data import ImageDataset, SequenceDataset
from imagemodels.errors import ConfigError
from imagemodels.model import Model
from imagemodels.presets import resolve
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator
from imagemodels.training.config import TrainConfig
from imagemodels.training.events import Event
from imagemodels.training.runs import new_run


def train(
    preset: str,
    data: ImageDataset | SequenceDataset,
    *,
    images: int,
    seed: int = 0,
    conditional: bool | None = None,
    runtime: Runtime | None = None,
    on_event: Callable[[Event], None] | None = None,
    **overrides: object,
) -> Model:
    """Train ``preset`` on the training split of ``data`` for ``images`` images, or sequences, and return the model.

    ``conditional`` None means: where the data have classes. ``overrides`` are options of the preset.
    Raises ConfigError or UnknownPreset for what no model can have, and NonFiniteLoss when training diverges.
    """
    runtime = runtime or default_runtime()
    config = TrainConfig(
        preset=preset,
        image_size=data.image_size,
        channels=data.channels,
        num_classes=_class_count(data, conditional) if resolve(preset).traits.learns_classes or conditional else 0,
        images=images,
        seed=seed,
        precision=runtime.precision,
        overrides=overrides,
    )
    run = new_run(config, *_training_part(data), runtime)
    for event in run.run():
        if on_event is not None:
            on_event(event)
    return run.model()


def _training_part(data: ImageDataset | SequenceDataset) -> tuple[Tensor | SequenceDataset, Tensor | None]:
    if isinstance(data, SequenceDataset):
        return data, None
    pixels = torch.from_numpy(data.images[data.train_indices]).permute(0, 3, 1, 2)
    return pixels, torch.from_numpy(data.labels[data.train_indices]) if data.labels is not None else None


def sample(model: Model, *, count: int, seed: int = 0, labels: NDArray[np.int64] | None = None) -> NDArray[np.uint8]:
    """Return the first ``count`` images (N, H, W, C), uint8, of the series ``seed``.

    Raises ConfigError when the model is no generator or the labels (N,) do not fit.
    """
    if not isinstance(model, Generator):
        raise ConfigError(f"this model is a {type(model).__name__.lower()}: it makes no images")
    return model.sample(seed, np.arange(count, dtype=np.int64), labels)


def default_runtime() -> Runtime:
    """Return the first CUDA device where there is one, else the CPU, in fp32."""
    return Runtime("cuda" if torch.cuda.is_available() else "cpu")


def _class_count(data: ImageDataset | SequenceDataset, conditional: bool | None) -> int:
    if conditional is False:
        return 0
    images = data.objects if isinstance(data, SequenceDataset) else data
    known = len(images.class_names) if images.labels is not None else 0
    if conditional and known < 2:
        raise ConfigError(f"a conditional model needs at least two classes; {data.name!r} has {known}")
    return known if known >= 2 else 0
