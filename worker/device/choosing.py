"""What makes the images of a job that asks for better ones than come first."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from imagemodels.random import candidate_seed
from imagemodels.sampling import Generator
from imagemodels.selection import Picked, Verdict, picked
from pixmill.errors import UserError
from pixmill.specs import GenerateSpec
from storage.choices import Choices
from worker.device.made import Images, Integers, Made
from worker.device.makers import BATCH_IMAGES, SHARED_BATCH_IMAGES, ClassesOf, ImageMaker
from worker.device.mixture import Mixture
from worker.device.screens import Screen

BATCH_BYTES = 32_000_000  # of pixels chosen at a time, about: the last rounds, of a few images, cost less then
MOST_AT_ONCE = 8 * BATCH_IMAGES


def chooses(spec: GenerateSpec) -> bool:
    """Whether the job asks for more than the images as they come."""
    asked = (spec.truncation, spec.further_models, spec.filter_model, spec.reject_duplicates)
    return any(option is not None for option in asked)


class Chosen(ImageMaker):
    """Images of one or several generators, each the first of its candidates that passes all screens.

    Candidate 0 of a number is the image that a job without screens makes. Which are drawn beside it has no influence.
    """

    def __init__(
        self,
        spec: GenerateSpec,
        mixture: Mixture,
        classes: ClassesOf,
        screens: Sequence[Screen],
        check_stop: Callable[[], None],
    ) -> None:
        super().__init__(mixture.first, mixture.class_names)
        self._spec, self._mixture, self._classes = spec, mixture, classes
        self._screens, self._check_stop = screens, check_stop
        self._truncation = 1.0 if spec.truncation is None else spec.truncation
        shape = mixture.first.network.spec
        pixels = shape.image_size**2 * shape.channels
        self.shared_batch_images = BATCH_IMAGES if screens else SHARED_BATCH_IMAGES
        self.batch_images = max(1, min(MOST_AT_ONCE, BATCH_BYTES // pixels)) if screens else BATCH_IMAGES

    @property
    def images(self) -> int:
        """As many as were asked for."""
        return self._spec.n

    @property
    def batch_size(self) -> int:
        """The smallest of all models."""
        return min(generator.batch_size for generator in self._mixture.generators)

    @property
    def choice(self) -> Mapping[str, Any]:
        """What was asked for."""
        tries = {"max_tries": self._spec.max_tries, "on_reject": self._spec.on_reject} if self._screens else {}
        facts = {name: fact for screen in self._screens for name, fact in screen.facts.items()}
        return {"truncation": self._truncation, **self._mixture.facts, **tries, **facts}

    def make(self, indices: Integers) -> tuple[Images, Integers | None]:
        """The images alone."""
        made = self.made(indices)
        return made.images, made.labels

    def made(self, indices: Integers) -> Made:
        """The images of these numbers (N,), and how they were chosen.  Raises UserError where none is good enough."""
        labels, checkpoints = self._classes(indices), self._mixture.checkpoints(self._spec.seed, indices)

        def draw(rows: Integers, candidates: Integers) -> Images:
            self._check_stop()
            classes = None if labels is None else labels[rows]
            return self._drawn(indices[rows], candidates, classes, checkpoints[rows])

        def judge(rows: Integers, images: Images) -> Verdict:
            return self._judged(images, None if labels is None else labels[rows])

        tries = self._spec.max_tries if self._screens else 1
        assert tries is not None  # filled in at submit
        found = picked(len(indices), tries, self.model.batch_size, draw, judge)
        self._require_accepted(indices, labels, found)
        return Made(found.images, labels, choices=self._choices(found, checkpoints))

    def _drawn(self, numbers: Integers, candidates: Integers, labels: Integers | None, checkpoints: Integers) -> Images:
        """The images (M, H, W, C) of these candidates (M,) of these numbers (M,), by their checkpoints (M,)."""
        parts = []
        for place, generator in enumerate(self._mixture.generators):
            rows = np.flatnonzero(checkpoints == place)
            classes = None if labels is None else labels[rows]
            latents = self._latents(generator, numbers[rows], candidates[rows], classes)
            parts.append((rows, generator.decode(latents, classes)))
        images = np.empty((len(numbers), *parts[0][1].shape[1:]), np.uint8)
        for rows, made in parts:
            images[rows] = made
        return images

    def _latents(
        self, generator: Generator, numbers: Integers, candidates: Integers, labels: Integers | None
    ) -> npt.NDArray[np.float32]:
        latents = np.empty((len(numbers), generator.network.spec.latent_size), np.float32)
        for candidate in np.unique(candidates).tolist():
            of_it = candidates == candidate
            seed = candidate_seed(self._spec.seed, candidate)
            classes = None if labels is None else labels[of_it]
            latents[of_it] = generator.latents(seed, numbers[of_it], classes, truncation=self._truncation)
        return latents

    def _judged(self, images: Images, labels: Integers | None) -> Verdict:
        """What all screens think together; the score is that of the one that gives any, none for what may not be."""
        passes, scores = np.ones(len(images), bool), np.full(len(images), np.nan)
        barred = np.zeros(len(images), bool)
        for screen in self._screens:
            verdict = screen.judge(images, labels)
            passes &= verdict.passes
            scores = np.where(np.isnan(verdict.scores), scores, verdict.scores)
            barred |= ~verdict.passes & screen.is_binding
        return Verdict(passes, np.where(barred, np.nan, scores))

    def _require_accepted(self, indices: Integers, labels: Integers | None, found: Picked) -> None:
        refused = ~found.accepted & (np.isnan(found.scores) | (self._spec.on_reject != "best"))
        if not refused.any():
            return
        place = int(np.flatnonzero(refused)[0])
        of_class = f" of class {self.class_names[labels[place]]!r}" if labels is not None else ""
        raise UserError(
            f"image {indices[place]}{of_class}: none of {self._spec.max_tries} candidates is good enough; "
            f"{self._why(float(found.scores[place]))}, or raise --max-tries"
        )

    def _why(self, score: float) -> str:
        """What is wrong with the best candidate, and what to do; its score is NaN when it is a duplicate."""
        if np.isnan(score):
            return "there are such images already: train longer, leave out --reject-duplicates"
        return (
            f"the best has a confidence of {score:.3f}, where {self._spec.min_confidence:g} is asked for and no other "
            "class may be likelier: lower --min-confidence, take the best with --on-reject best"
        )

    def _choices(self, found: Picked, checkpoints: Integers) -> Choices:
        return Choices(
            candidate=found.candidates,
            checkpoint=checkpoints,
            truncation=np.full(len(checkpoints), self._truncation),
            confidence=found.scores,
            accepted=found.accepted,
        )
