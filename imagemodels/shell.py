"""Training and sampling in a line each, for a shell or a notebook."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imagemodels.data import ImageDataset, PairedDataset, SequenceDataset
from imagemodels.errors import ConfigError
from imagemodels.model import Model
from imagemodels.presets import options_for_pairs, resolve
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator
from imagemodels.training.config import TrainConfig
from imagemodels.training.events import Event
from imagemodels.training.run import Run
from imagemodels.training.runs import new_run


def train(
    preset: str,
    data: ImageDataset | SequenceDataset | PairedDataset,
    *,
    images: int,
    seed: int = 0,
    conditional: bool | None = None,
    runtime: Runtime | None = None,
    on_event: Callable[[Event], None] | None = None,
    **overrides: object,
) -> Model:
    """Train ``preset`` on the training split of ``data`` for ``images`` images, sequences or pairs; return the model.

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
        overrides=options_for_pairs(preset, overrides) if isinstance(data, PairedDataset) else overrides,
    )
    run = _new_run(config, data, runtime)
    for event in run.run():
        if on_event is not None:
            on_event(event)
    return run.model()


def _new_run(config: TrainConfig, data: ImageDataset | SequenceDataset | PairedDataset, runtime: Runtime) -> Run:
    if isinstance(data, SequenceDataset):
        return new_run(config, data, None, runtime)
    images = data.targets if isinstance(data, PairedDataset) else data
    given = _pixels(data.given[images.train_indices]) if isinstance(data, PairedDataset) else None
    labels = torch.from_numpy(images.labels[images.train_indices]) if images.labels is not None else None
    return new_run(config, _pixels(images.images[images.train_indices]), labels, runtime, given=given)


def _pixels(images: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2)


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


def _class_count(data: ImageDataset | SequenceDataset | PairedDataset, conditional: bool | None) -> int:
    if conditional is False or isinstance(data, PairedDataset):
        return 0
    images = data.objects if isinstance(data, SequenceDataset) else data
    known = len(images.class_names) if images.labels is not None else 0
    if conditional and known < 2:
        raise ConfigError(f"a conditional model needs at least two classes; {data.name!r} has {known}")
    return known if known >= 2 else 0
