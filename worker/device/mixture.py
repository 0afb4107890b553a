"""Several models that share the images of one job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imagemodels.errors import ConfigError
from imagemodels.model import Model
from imagemodels.random import uniforms
from imagemodels.sampling import Generator
from pixmill.specs import GenerateSpec
from worker.assignment import ModelInput
from worker.device.made import Integers


@dataclass(frozen=True)
class Mixture:
    """Generators of images of one size and of the same classes, and how many of the images each makes."""

    references: Sequence[str]
    generators: Sequence[Generator]
    weights: Sequence[float]
    class_names: tuple[str, ...]

    @property
    def first(self) -> Generator:
        """The one that makes all images when there is no other."""
        return self.generators[0]

    @property
    def facts(self) -> Mapping[str, Any]:
        """Which models there are; nothing of a single one, which the metadata name anyway."""
        if len(self.generators) == 1:
            return {}
        return {
            "models": list(self.references),
            "model_weights": list(self.weights),
            "checkpoints": [generator.digest for generator in self.generators],
        }

    def checkpoints(self, seed: int, numbers: Integers) -> Integers:
        """Which of the models makes each image (N,): drawn for its number, so that no class keeps to one of them."""
        ends = np.cumsum(self.weights) / np.sum(self.weights)
        return np.searchsorted(ends[:-1], uniforms(seed, numbers, "checkpoints"), side="right").astype(np.int64)


def mixture_of(
    spec: GenerateSpec, first: tuple[ModelInput, Generator], further: Sequence[tuple[ModelInput, Model]]
) -> Mixture:
    """The mixture of these models.  Raises ConfigError when one makes no images, or others than the first makes."""
    described, maker = first
    generators = [maker]
    for other, model in further:
        if not isinstance(model, Generator):
            raise ConfigError(f"model {other.reference} is a {type(model).__name__.lower()}: it makes no images")
        if _images_of(other) != _images_of(described) or model.num_classes != maker.num_classes:
            raise ConfigError(
                f"models {described.reference} and {other.reference} make images of other sizes or classes"
            )
        generators.append(model)
    references = [described.reference, *(other.reference for other, _model in further)]
    return Mixture(references, generators, spec.model_weights or [1.0], described.classes)


def _images_of(model: ModelInput) -> tuple[int, int, tuple[str, ...]]:
    return model.image_size, model.channels, model.classes
