"""What candidates must pass to become images of a data set."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imagemodels.classifier import Classifier
from imagemodels.confidence import confidences
from imagemodels.duplicates import TrainingImages
from imagemodels.errors import ConfigError
from imagemodels.sampling import Generator
from imagemodels.selection import Verdict
from pixmill.specs import GenerateSpec
from worker.assignment import ModelInput
from worker.device.desk import Desk
from worker.device.made import Images, Integers
from worker.device.real_images import read_trained_on
from worker.device.warm import WarmModels


class Screen(ABC):
    """One of the things that are asked of each candidate."""

    is_binding = False  # what does not pass is not even taken as the best of a bad lot

    @property
    @abstractmethod
    def facts(self) -> Mapping[str, Any]:
        """What is asked, for the record."""

    @abstractmethod
    def judge(self, images: Images, labels: Integers | None) -> Verdict:
        """Return what is thought of images (N, H, W, C) of these classes (N,)."""


class ConfidenceScreen(Screen):
    """A classifier takes them for their class, with some probability; without classes, for any class."""

    def __init__(self, classifier: Classifier, reference: str, numbers: Integers | None, least: float) -> None:
        """`numbers` are what the classifier calls the classes (K,); -1: nothing, as no image has that one."""
        self._classifier, self._reference, self._numbers, self._least = classifier, reference, numbers, least
        self._digest = classifier.digest

    @property
    def facts(self) -> Mapping[str, Any]:
        """Who judges, and how sure it must be."""
        return {"filter_model": self._reference, "filter_digest": self._digest, "min_confidence": self._least}

    def judge(self, images: Images, labels: Integers | None) -> Verdict:
        """The score is the probability of the class."""
        classes = None if labels is None or self._numbers is None else self._numbers[labels]
        found, likeliest = confidences(self._classifier, images, classes)
        return Verdict((found >= self._least) & likeliest, found)


class NoveltyScreen(Screen):
    """They are no images, or nearly none, that the models have learnt from."""

    is_binding = True

    def __init__(self, training: Sequence[TrainingImages], way: str) -> None:
        self._training, self._way = training, way

    @property
    def facts(self) -> Mapping[str, Any]:
        """What counts as a duplicate."""
        near = [round(known.near_distance, 6) for known in self._training if known.near]
        return {"reject_duplicates": self._way, **({"near_distances": near} if near else {})}

    def judge(self, images: Images, labels: Integers | None) -> Verdict:  # noqa: ARG002  it looks at pixels alone
        """There are no degrees of it."""
        passes = ~np.any([known.have(images) for known in self._training], axis=0)
        return Verdict(passes, np.full(len(images), np.nan))


def screens_of(desk: Desk, warm: WarmModels, spec: GenerateSpec, generator: Generator) -> list[Screen]:
    """What the job asks of its images.

    Raises ConfigError when the filter's model cannot judge them, and what reading the training images does.
    """
    chosen, described = desk.assignment.judge, desk.assignment.model
    assert described is not None
    screens: list[Screen] = []
    if spec.reject_duplicates is not None:
        screens.append(NoveltyScreen(_training_images(desk, spec), spec.reject_duplicates))
    if chosen is not None:
        screens.append(_confidence_screen(desk, warm, spec, generator, chosen, described))
    return screens


def _training_images(desk: Desk, spec: GenerateSpec) -> list[TrainingImages]:
    """Those of each data set that the models were trained on.  Raises DataError when one has changed since."""
    assert desk.assignment.model is not None
    models = {one.dataset_fingerprint: one for one in (desk.assignment.model, *desk.assignment.further_models)}
    return [TrainingImages(read_trained_on(desk, one), spec.reject_duplicates == "near") for one in models.values()]


def _confidence_screen(
    desk: Desk, warm: WarmModels, spec: GenerateSpec, generator: Generator, chosen: ModelInput, described: ModelInput
) -> ConfidenceScreen:
    assert spec.min_confidence is not None  # filled in at submit
    classifier = warm.get(desk.layout.resolve(chosen.folder), chosen.digest, "fp32")
    if not isinstance(classifier, Classifier):
        raise ConfigError(f"model {chosen.reference} is a {type(classifier).__name__.lower()}: it judges no images")
    _require_fit(chosen, described)
    numbers = _numbers_of_classes(chosen, described, spec.named_classes) if generator.num_classes else None
    return ConfidenceScreen(classifier, chosen.reference, numbers, spec.min_confidence)


def _require_fit(judge: ModelInput, maker: ModelInput) -> None:
    taken, made = (f"{one.image_size}×{one.image_size}×{one.channels}" for one in (judge, maker))
    if taken != made:
        raise ConfigError(
            f"filter model {judge.reference} takes images of {taken}, and those of {maker.reference} are of {made}"
        )


def _numbers_of_classes(judge: ModelInput, maker: ModelInput, asked: Sequence[str]) -> Integers:
    names = list(judge.classes)
    for name in asked or maker.classes:
        if name not in names:
            raise ConfigError(f"filter model {judge.reference} knows no class {name!r}; classes: {', '.join(names)}")
    return np.asarray([names.index(name) if name in names else -1 for name in maker.classes], dtype=np.int64)
