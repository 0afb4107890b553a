"""From an edit job's spec to what makes its images: where they come from, and the direction where one is needed."""

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from imagemodels.classifier import Classifier
from imagemodels.data import ImageDataset
from imagemodels.editing.directions import Direction, fitted_direction
from imagemodels.errors import ConfigError
from imagemodels.evaluation.features import feature_net
from imagemodels.model import Model
from imagemodels.sampling import Generator
from pixmill.errors import UserError
from pixmill.specs import EditSpec
from worker.assignment import ModelInput
from worker.device.desk import Desk
from worker.device.edits import AttributeEdits, ClassChanges, Edits, Interpolations, Stylisations
from worker.device.made import Integers
from worker.device.real_images import read_real_images
from worker.device.sources import MadeSources, ReadSources, chosen_numbers
from worker.device.warm import WarmModels

log = logging.getLogger("job")

EXAMPLES = 4000  # that a direction is fitted to, at most
TESTED = 1000  # that it is tried on
BATCH = 512  # examples between two looks at whether to stop


@dataclass(frozen=True)
class EditTask:
    """What the parts of an edit job are made of."""

    desk: Desk
    warm: WarmModels
    spec: EditSpec
    described: ModelInput

    def read(self, name: str | None, role: str) -> ImageDataset:
        """The data set of that name, or, without what cannot be read, that of the model, at the model's size."""
        return read_real_images(
            self.desk,
            name or self.described.dataset,
            image_size=self.described.image_size,
            channels=self.described.channels,
            on_bad_image="skip" if name is None else self.spec.on_bad_image,
            role=role,
        )

    def maker(self, model: Model, classes: Integers | None) -> Edits:
        """What makes the images; ``classes`` are the model's numbers of those that the spec names.

        Raises ConfigError when the model cannot do it, and UserError when the data cannot.
        """
        if self.spec.way == "optimise":
            return self._stylisations(model)
        if not isinstance(model, Generator):
            raise self._refusal(model, "it makes no images")
        if self.spec.dataset is not None and not model.has_encoder:
            raise self._refusal(model, "it has no encoder")
        data = None if self.spec.dataset is None else self.read(self.spec.dataset, "dataset")
        known = self.described.classes
        sources = MadeSources(model, self.spec.seed) if data is None else ReadSources(data, model, known)
        chosen = chosen_numbers(self.spec, data)
        if self.spec.way == "attribute":
            return AttributeEdits(self.spec, model, sources, chosen, self._direction(model))
        if self.spec.way == "interpolate":
            return Interpolations(self.spec, model, sources, chosen)
        if classes is None or not model.num_classes:
            raise self._refusal(model, "it knows no classes")
        return ClassChanges(self.spec, model, sources, chosen, classes)

    def _refusal(self, model: Model, why: str) -> ConfigError:
        return ConfigError(f"model {self.described.reference} is a {type(model).__name__.lower()}: {why}")

    def _stylisations(self, model: Model) -> Edits:
        if not isinstance(model, Classifier):
            raise self._refusal(model, "it has no features to compare")
        spec = self.spec
        data, styles = self.read(spec.dataset, "dataset"), self.read(spec.style, "style")
        assert spec.style_index is not None  # filled in at submit
        if spec.style_index >= len(styles):
            raise UserError(f"data set {styles.name} has {len(styles):,} images; image {spec.style_index} is no style")
        sources = ReadSources(data, None)
        return Stylisations(spec, model, sources, chosen_numbers(spec, data), styles, self.desk.check_stop)

    def _direction(self, generator: Generator) -> Direction:
        """The direction towards the attribute, fitted to examples and tried on others."""
        spec, data = self.spec, self.read(self.spec.examples, "examples")
        towards, *rest = [_number_of(data, name) for name in (spec.attribute, *(spec.apart_from or ()))]
        against = None if spec.against is None else _number_of(data, spec.against)
        self.desk.measuring("finding latents with and without the attribute", 0.0)
        learnt, tried = self._examples(generator, data)
        assert spec.fit is not None  # filled in at submit
        apart = [fitted_direction(*learnt.about(number, None), spec.fit).vector for number in rest]
        points, with_it = learnt.about(towards, against)
        direction = fitted_direction(points, with_it, spec.fit, apart)
        latents, has = tried.about(towards, against)
        share = f"{direction.accuracy(latents, has):.4f}" if len(has) else "unknown"
        log.info(
            "direction towards %s by %d examples; share of %d others on their side of its middle: %s",
            spec.attribute, len(points), len(has), share,
        )  # fmt: skip
        return direction

    def _examples(self, generator: Generator, data: ImageDataset) -> tuple["Examples", "Examples"]:
        """Latents with classes, to learn from and to try: encoded images, or dreamt ones that a classifier looks at.

        A conditional model's encoder asks for the model's own classes, so that its images are dreamt too.
        """
        if not generator.has_encoder or generator.num_classes:
            return self._dreamt(generator, data)
        assert data.labels is not None  # asked for its classes
        found = []
        for indices, most in ((data.train_indices, EXAMPLES), (data.test_indices, TESTED)):
            rows = _spread(indices, most)
            latents = [generator.encode(data.images[part]) for part in self._parts(rows)]
            found.append(Examples(np.concatenate(latents), data.labels[rows]))
        return found[0], found[1]

    def _dreamt(self, generator: Generator, data: ImageDataset) -> tuple["Examples", "Examples"]:
        """Images that the generator makes, with the classes that the data's own feature net sees in them.

        As Shen et al., arXiv 1907.10786, label what a GAN makes. They are those of the seed, the first ones.
        """
        net = feature_net(data, self.desk.layout.features, self.warm.runtime("fp32"))
        numbers = np.arange(EXAMPLES + TESTED, dtype=np.int64)
        seed, latents, labels = self.spec.seed, [], []
        for part in self._parts(numbers):
            latents.append(generator.latents(seed, part))
            labels.append(net.predict(generator.sample(seed, part)))
        rows, classes = np.concatenate(latents), np.concatenate(labels)
        return Examples(rows[:EXAMPLES], classes[:EXAMPLES]), Examples(rows[EXAMPLES:], classes[EXAMPLES:])

    def _parts(self, rows: Integers) -> list[Integers]:
        parts = []
        for first in range(0, len(rows), BATCH):
            self.desk.check_stop()
            parts.append(rows[first : first + BATCH])
        return parts


@dataclass(frozen=True)
class Examples:
    """Latents (N, Z) and their classes (N,)."""

    latents: npt.NDArray[np.float32]
    labels: Integers

    def about(self, towards: int, against: int | None) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """The latents of one class and of another one, None: of all others; and whether each is of the first."""
        kept = np.ones(len(self.labels), dtype=bool) if against is None else np.isin(self.labels, (towards, against))
        return self.latents[kept], self.labels[kept] == towards


def _number_of(data: ImageDataset, name: str | None) -> int:
    if data.labels is None:
        raise UserError(
            f"data set {data.name} has no classes to learn a direction from",
            hint="--examples DATASET: images with each class in a sub-folder",
        )
    if name not in data.class_names:
        raise UserError(f"data set {data.name} has no class {name!r}; classes: {', '.join(data.class_names)}")
    return data.class_names.index(name)


def _spread(indices: Integers, most: int) -> Integers:
    """At most so many of the indices, evenly spread: a folder's images are sorted by class."""
    return indices[:: max(1, -(-len(indices) // most))]
