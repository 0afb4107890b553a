"""What makes the numbered images of a job: each a function of model, seed, number and class alone."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from imagemodels.classifier import Classifier
from imagemodels.data import SequenceDataset
from imagemodels.latents import between
from imagemodels.pixels import copy_into
from imagemodels.prediction import Predictor
from imagemodels.random import labels as labels_in_turn
from imagemodels.restoration import Restorer
from imagemodels.sampling import Generator
from pixmill.specs import AnimateSpec, GenerateSpec
from storage.manifest import Edit
from worker.device.made import Begun, Images, Integers, Made

ClassesOf = Callable[[Integers], Integers | None]  # the class (N,) of each number, None where there are none

# Encoded and written at a time, about. What takes the device's memory is the smaller batch in which the model makes
# them, and which it halves by itself when it must; this number has no influence on any pixel.
BATCH_IMAGES = 512
# Shared out at a time: so few that no hand is waited for at the end of a task, and whole batches of the network.
SHARED_BATCH_IMAGES = 128
KINDS_OF_FRAMES = ("given", "predicted")


class ImageMaker(ABC):
    """A model, and how a job asks it for images."""

    batch_images = BATCH_IMAGES
    shared_batch_images = SHARED_BATCH_IMAGES

    def __init__(self, model: Generator | Predictor | Classifier | Restorer, class_names: tuple[str, ...]) -> None:
        self.model = model
        self.class_names = class_names  # of the labels; empty where there are none

    @property
    def batch_size(self) -> int:
        """How many images are made at a time; fewer than usual when the memory ran out."""
        return self.model.batch_size

    @property
    def animation(self) -> Mapping[str, int] | None:
        """How the images are frames; None: each stands for itself."""
        return None

    @property
    @abstractmethod
    def images(self) -> int:
        """How many images the whole job makes."""

    def origin(self, indices: Integers) -> Mapping[str, Any] | None:  # noqa: ARG002  most are made of nothing
        """What the images of these numbers (N,) are made of, for the record; None: of nothing."""
        return None

    @property
    def edit(self) -> Mapping[str, Any] | None:
        """What is done to images, for all of them alike; None: they are made of nothing."""
        return None

    @property
    def choice(self) -> Mapping[str, Any] | None:
        """By what images are chosen, for all of them alike; None: each is the only one of its number."""
        return None

    def edits(self, indices: Integers) -> Sequence[Edit] | None:  # noqa: ARG002  few makers edit
        """What is done to make each of these images (N,)."""
        return None

    def made(self, indices: Integers) -> Made:
        """Return the images of these numbers (N,), and what is to be recorded of them."""
        return Made(*self.make(indices))

    def make_into(self, indices: Integers, places: Sequence[Images]) -> Begun:
        """Begin to make the images of these numbers (N,), the first ones into the first of `places`, and so on.

        Any memory will do: arrays (N₁, H, W, C), (N₂, H, W, C), …, of N images in all.
        """
        made = self.made(indices)
        copy_into(places, made.images)
        return Begun.into(places, made.labels, made.choices)

    @abstractmethod
    def make(self, indices: Integers) -> tuple[Images, Integers | None]:
        """Return the images (N, H, W, C) of these numbers (N,), and their labels (N,) where there are any."""


class Samples(ImageMaker):
    """Independent images of a generator."""

    def __init__(
        self, spec: GenerateSpec, generator: Generator, class_names: tuple[str, ...], classes: ClassesOf
    ) -> None:
        super().__init__(generator, class_names)
        self._generator, self._spec, self._classes = generator, spec, classes

    @property
    def images(self) -> int:
        """As many as were asked for."""
        return self._spec.n

    def make(self, indices: Integers) -> tuple[Images, Integers | None]:
        """Images of the classes that their numbers have."""
        labels = self._classes(indices)
        return self._generator.sample(self._spec.seed, indices, labels), labels

    def make_into(self, indices: Integers, places: Sequence[Images]) -> Begun:
        """The same, while the device goes on."""
        labels = self._classes(indices)
        wait = self._generator.sample_into(places, self._spec.seed, indices, labels)
        return Begun.into(places, labels, wait=wait)


class _Frames(ImageMaker):
    """Frames of animations."""

    def __init__(self, spec: AnimateSpec, model: Generator | Predictor, class_names: tuple[str, ...]) -> None:
        super().__init__(model, class_names)
        self._spec = spec

    @property
    def images(self) -> int:
        """The frames of all animations."""
        return self._spec.images


class Walks(_Frames):
    """Frames of walks through a generator's latents.

    Walk a comes by the latents of the images a · stops, a · stops + 1, … that a generate job of the same seed has, and
    back to the first. It keeps to one class.
    """

    def __init__(
        self, spec: AnimateSpec, generator: Generator, class_names: tuple[str, ...], chosen: Integers | None
    ) -> None:
        super().__init__(spec, generator, class_names)
        assert spec.stops is not None  # filled in at submit
        self._stops = spec.stops
        self._generator, self._chosen = generator, chosen

    @property
    def animation(self) -> Mapping[str, int]:
        """Frames and stops of a walk."""
        return {"frames_each": self._spec.frames_each, "stops": self._stops}

    def make(self, indices: Integers) -> tuple[Images, Integers | None]:
        """The frames, at equal distances between the stops."""
        walks, frames = np.divmod(indices, self._spec.frames_each)
        labels = classes_in_turn(walks, self._generator.num_classes, self._chosen)
        passed, rest = np.divmod(frames * self._stops, self._spec.frames)
        first = walks * self._stops + passed
        second = walks * self._stops + (passed + 1) % self._stops
        ends = [self._generator.latents(self._spec.seed, stop, labels) for stop in (first, second)]
        return self._generator.decode(between(ends[0], ends[1], rest / self._spec.frames), labels), labels


class Forecasts(_Frames):
    """Held-out sequences: the given frames, and those that a model predicts of them."""

    def __init__(self, spec: AnimateSpec, predictor: Predictor, data: SequenceDataset) -> None:
        super().__init__(spec, predictor, KINDS_OF_FRAMES)
        assert spec.given is not None  # filled in at submit
        self._predictor, self._given, self._data = predictor, spec.given, data
        # Whole sequences, so that none is predicted twice.
        self.batch_images = spec.frames_each * max(1, BATCH_IMAGES // spec.frames_each)

    @property
    def animation(self) -> Mapping[str, int]:
        """Frames of a sequence, and how many of them are known."""
        return {"frames_each": self._spec.frames_each, "given": self._given}

    def make(self, indices: Integers) -> tuple[Images, Integers | None]:
        """The frames, labelled as given or predicted."""
        numbers, frames = np.divmod(indices, self._spec.frames_each)
        asked, places = np.unique(numbers, return_inverse=True)
        known = self._data.sequences(asked, self._given, held_out=True, seed=self._spec.seed)
        whole = np.concatenate((known, self._predictor.predict(known, self._spec.frames)), axis=1)
        return whole[places, frames], (frames >= self._given).astype(np.int64)


def classes_in_turn(numbers: Integers, num_classes: int, chosen: Integers | None) -> Integers | None:
    """The class (N,) of each number: the chosen ones, or all, in turn; None where the model knows none."""
    if not num_classes:
        return None
    return labels_in_turn(numbers, num_classes) if chosen is None else chosen[numbers % len(chosen)]
