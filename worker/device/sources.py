"""Where the images come from that an edit job begins with: a data set, or the generator itself."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from imagemodels.data import ImageDataset
from imagemodels.random import labels as labels_in_turn
from imagemodels.sampling import Generator
from pixmill.errors import UserError
from pixmill.specs import EditSpec
from worker.device.made import Images, Integers

Latents = npt.NDArray[np.float32]


class Sources(Protocol):
    """Numbered images, and what a generator knows of each."""

    @property
    def identity(self) -> Mapping[str, str]:
        """What the numbers stand for."""
        ...

    def images(self, numbers: Integers) -> Images:
        """Return the images (N, H, W, C), uint8, of these numbers (N,)."""
        ...

    def labels(self, numbers: Integers) -> Integers | None:
        """Return the classes (N,) in the model's numbers; None for a model without classes."""
        ...

    def latents(self, numbers: Integers) -> Latents:
        """Return the latents (N, Z)."""
        ...


class MadeSources:
    """The images that a generate job of the same seed makes, under the same numbers."""

    identity: Mapping[str, str] = {}

    def __init__(self, generator: Generator, seed: int) -> None:
        self._generator, self._seed = generator, seed

    def images(self, numbers: Integers) -> Images:
        """The images as they would be made."""
        return self._generator.sample(self._seed, numbers, self.labels(numbers))

    def labels(self, numbers: Integers) -> Integers | None:
        """All classes in turn."""
        classes = self._generator.num_classes
        return labels_in_turn(numbers, classes) if classes else None

    def latents(self, numbers: Integers) -> Latents:
        """The latents that the images are made of."""
        return self._generator.latents(self._seed, numbers, self.labels(numbers))


class ReadSources:
    """The images of a data set; a generator's encoder finds their latents."""

    def __init__(self, data: ImageDataset, generator: Generator | None, classes: tuple[str, ...] = ()) -> None:
        self._data, self._generator = data, generator
        self._classes = _numbers_of_classes(data, classes) if classes else None

    @property
    def identity(self) -> Mapping[str, str]:
        """The data set and its fingerprint."""
        return identity_of(self._data, "dataset")

    def images(self, numbers: Integers) -> Images:
        """The images as they were read."""
        found: Images = self._data.images[numbers]
        return found

    def labels(self, numbers: Integers) -> Integers | None:
        """What the data set says, in the model's numbers.  Raises UserError for a class unknown to the model."""
        if self._classes is None:
            return None
        assert self._data.labels is not None
        own = self._data.labels[numbers]
        labels: Integers = self._classes[own]
        if (labels < 0).any():
            name = self._data.class_names[own[labels < 0][0]]
            raise UserError(f"data set {self._data.name} has images of class {name!r}, which the model does not know")
        return labels

    def latents(self, numbers: Integers) -> Latents:
        """The latents that the encoder finds, given the classes."""
        assert self._generator is not None
        return self._generator.encode(self.images(numbers), self.labels(numbers))


def identity_of(data: ImageDataset, role: str) -> dict[str, str]:
    """What a data set is called, and its fingerprint, under names that begin with its role."""
    return {role: data.name, f"{role}_fingerprint": data.fingerprint}


def _numbers_of_classes(data: ImageDataset, classes: tuple[str, ...]) -> Integers:
    """The model's number of each class of the data set, -1 for one that it does not know."""
    if data.labels is None:
        raise UserError(
            f"the model is told the class of each image; data set {data.name} has none",
            hint="put each class in a sub-folder, or take a model that was trained without --conditional",
        )
    return np.asarray([classes.index(name) if name in classes else -1 for name in data.class_names], dtype=np.int64)


def chosen_numbers(spec: EditSpec, data: ImageDataset | None) -> Integers:
    """The numbers (edits, sources of each) that the job begins with: those that are named, or the first of the part.

    Raises UserError when a data set does not have them.
    """
    each = 2 if spec.way == "interpolate" else 1
    wanted = spec.edits * each
    if spec.indices is not None:
        numbers = np.asarray(spec.indices, dtype=np.int64)
        if data is not None and numbers.max() >= len(data):
            raise UserError(f"data set {data.name} has {len(data):,} images; image {numbers.max()} was asked for")
    elif data is None:
        numbers = np.arange(wanted, dtype=np.int64)
    else:
        numbers = data.test_indices if spec.part == "held-out" else np.arange(len(data), dtype=np.int64)
        if len(numbers) < wanted:
            what = "held-out images" if spec.part == "held-out" else "images"
            raise UserError(
                f"data set {data.name} has {len(numbers):,} {what}; {wanted:,} are needed for {spec.edits:,} edits",
                hint=f"-n {len(numbers) // each}" if len(numbers) >= each else "--part all, or another data set",
            )
    return numbers[:wanted].reshape(-1, each)
