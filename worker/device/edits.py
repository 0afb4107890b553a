"""What makes the images of an edit job: whole edits, each of the images it begins with and those that they become."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from imagemodels.classifier import Classifier
from imagemodels.data import ImageDataset
from imagemodels.editing.directions import Direction
from imagemodels.editing.stylising import Recipe, Stylist
from imagemodels.latents import between
from imagemodels.sampling import Generator
from pixmill.specs import EditSpec
from storage.manifest import Edit
from worker.device.made import Images, Integers
from worker.device.makers import BATCH_IMAGES, ImageMaker
from worker.device.sources import Sources, identity_of

KINDS_OF_IMAGES = ("source", "edited")
STYLISED_AT_ONCE = 32  # each takes hundreds of passes through the network
RECIPE = ("content_weight", "style_weight", "variation_weight", "iterations", "step_size")
ASKED = {"way", "attribute", "against", "apart_from", "examples", "fit", "style_index", *RECIPE}  # what no row tells


class Edits(ImageMaker):
    """Edits of the images ``chosen`` (edits, sources of each), which are numbers of ``sources``.

    The images of an edit follow one another: what it begins with, then what it was made. Of a way between two images
    the second one comes last.
    """

    most_at_once = BATCH_IMAGES

    def __init__(self, spec: EditSpec, model: Generator | Classifier, sources: Sources, chosen: Integers) -> None:
        super().__init__(model, KINDS_OF_IMAGES)
        self._spec, self._sources, self._chosen = spec, sources, chosen
        # Whole edits, so that none is made twice.
        self.batch_images = spec.images_each * max(1, self.most_at_once // spec.images_each)

    @property
    def images(self) -> int:
        """Those of all edits."""
        return self._spec.images

    @property
    def edit(self) -> Mapping[str, Any]:
        """The way and what was asked of it, the images of each edit, and the identity of what they began with."""
        asked = self._spec.model_dump(mode="json", include=ASKED, exclude_none=True)
        return {**asked, "images_each": self._spec.images_each, **self._sources.identity}

    def make(self, indices: Integers) -> tuple[Images, Integers]:
        """The images, labelled as sources or edited ones."""
        numbers, places = np.divmod(indices, self._spec.images_each)
        asked, rows = np.unique(numbers, return_inverse=True)
        whole = self._edited(self._chosen[asked])
        return whole[rows, places], np.array([self._is_edited(place) for place in places], dtype=np.int64)

    def edits(self, indices: Integers) -> Sequence[Edit]:
        """What was done, image by image."""
        numbers, places = np.divmod(indices, self._spec.images_each)
        return [self._described(self._chosen[number], int(at)) for number, at in zip(numbers, places, strict=True)]

    def _is_edited(self, place: int) -> bool:
        return place >= self._spec.sources_each

    @abstractmethod
    def _edited(self, numbers: Integers) -> Images:
        """All images (E, images each, H, W, C) of edits that begin with the images ``numbers`` (E, sources each)."""

    @abstractmethod
    def _described(self, numbers: Integers, place: int) -> Edit:
        """What was done to make the image at this place of an edit that begins with ``numbers`` (sources each,)."""


class LatentEdits(Edits):
    """Edits of a generator's latents."""

    def __init__(self, spec: EditSpec, generator: Generator, sources: Sources, chosen: Integers) -> None:
        super().__init__(spec, generator, sources, chosen)
        self._generator = generator

    def _decoded(self, latents: np.ndarray[Any, np.dtype[np.float32]], labels: Integers | None) -> Images:
        """Images (E, M, H, W, C) of latents (E, M, Z) and classes (E, M)."""
        flat = None if labels is None else labels.reshape(-1)
        images = self._generator.decode(latents.reshape(-1, latents.shape[-1]), flat)
        return images.reshape(*latents.shape[:2], *images.shape[1:])


class AttributeEdits(LatentEdits):
    """Images moved along a direction of the latent space."""

    def __init__(
        self, spec: EditSpec, generator: Generator, sources: Sources, chosen: Integers, direction: Direction
    ) -> None:
        super().__init__(spec, generator, sources, chosen)
        assert spec.strengths is not None  # filled in at submit
        self._strengths, self._direction = np.asarray(spec.strengths), direction

    @property
    def edit(self) -> Mapping[str, Any]:
        """The direction too."""
        return {**super().edit, "direction_sha256": self._direction.digest}

    def _edited(self, numbers: Integers) -> Images:
        first = numbers[:, 0]
        count = len(self._strengths)
        latents, labels = self._sources.latents(first), self._sources.labels(first)
        moved = self._direction.moved(np.repeat(latents, count, axis=0), np.tile(self._strengths, len(first)))
        decoded = self._decoded(moved.reshape(len(first), count, -1), _spread(labels, count))
        return np.concatenate((self._sources.images(first)[:, None], decoded), axis=1)

    def _described(self, numbers: Integers, place: int) -> Edit:
        if not self._is_edited(place):
            return Edit(int(numbers[0]))
        return Edit(int(numbers[0]), target=self._spec.attribute, strength=float(self._strengths[place - 1]))


class Interpolations(LatentEdits):
    """Ways from one image to another, in the class of the first."""

    def _is_edited(self, place: int) -> bool:
        return 0 < place < self._spec.images_each - 1

    @property
    def _shares(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        assert self._spec.steps is not None  # filled in at submit
        return np.linspace(0.0, 1.0, self._spec.steps)

    def _edited(self, numbers: Integers) -> Images:
        shares = self._shares
        ends = [np.repeat(self._sources.latents(column), len(shares), axis=0) for column in numbers.T]
        on_the_way = between(ends[0], ends[1], np.tile(shares, len(numbers)))
        labels = _spread(self._sources.labels(numbers[:, 0]), len(shares))
        decoded = self._decoded(on_the_way.reshape(len(numbers), len(shares), -1), labels)
        first, second = (self._sources.images(column)[:, None] for column in numbers.T)
        return np.concatenate((first, decoded, second), axis=1)

    def _described(self, numbers: Integers, place: int) -> Edit:
        first, second = map(int, numbers)
        if self._is_edited(place):
            return Edit(first, other=second, strength=float(self._shares[place - 1]))
        return Edit(first if place == 0 else second)


class ClassChanges(LatentEdits):
    """Images whose latents are decoded as other classes."""

    def __init__(
        self, spec: EditSpec, generator: Generator, sources: Sources, chosen: Integers, classes: Integers
    ) -> None:
        super().__init__(spec, generator, sources, chosen)
        self._classes = classes

    def _edited(self, numbers: Integers) -> Images:
        first, count = numbers[:, 0], len(self._classes)
        latents = np.repeat(self._sources.latents(first)[:, None], count, axis=1)
        decoded = self._decoded(latents, np.tile(self._classes, (len(first), 1)))
        return np.concatenate((self._sources.images(first)[:, None], decoded), axis=1)

    def _described(self, numbers: Integers, place: int) -> Edit:
        assert self._spec.classes is not None  # filled in at submit
        target = self._spec.classes[place - 1] if self._is_edited(place) else None
        return Edit(int(numbers[0]), target=target)


class Stylisations(Edits):
    """Images that keep what they show, and take another one's style."""

    most_at_once = STYLISED_AT_ONCE

    def __init__(
        self,
        spec: EditSpec,
        classifier: Classifier,
        sources: Sources,
        chosen: Integers,
        styles: ImageDataset,
        on_step: Callable[[], None],
    ) -> None:
        super().__init__(spec, classifier, sources, chosen)
        self._styles, self._on_step = styles, on_step
        self._stylist = Stylist(classifier, _recipe(spec))

    @property
    def edit(self) -> Mapping[str, Any]:
        """The data set of the style too."""
        return {**super().edit, **identity_of(self._styles, "style")}

    def _edited(self, numbers: Integers) -> Images:
        contents = self._sources.images(numbers[:, 0])
        assert self._spec.style_index is not None  # filled in at submit
        styles = np.repeat(self._styles.images[self._spec.style_index][None], len(contents), axis=0)
        made = self._stylist.stylised(contents, styles, self._on_step)
        return np.stack((contents, styles, made), axis=1)

    def _described(self, numbers: Integers, place: int) -> Edit:
        assert self._spec.style_index is not None  # filled in at submit
        content, style = int(numbers[0]), self._spec.style_index
        if self._is_edited(place):
            return Edit(content, other=style)
        return Edit(content if place == 0 else style)


def _recipe(spec: EditSpec) -> Recipe:
    return Recipe(**{name: getattr(spec, name) for name in RECIPE})


def _spread(labels: Integers | None, count: int) -> Integers | None:
    """The class of each edit (E,) for all of its images (E, M)."""
    return None if labels is None else np.repeat(labels[:, None], count, axis=1)
