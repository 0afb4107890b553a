"""A classifier that was trained before, as the feature net of evaluations: one and the same for as long as wanted."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagemodels.card import ModelCard, read_card
from imagemodels.classifier import Classifier
from imagemodels.data.dataset import ImageDataset
from imagemodels.data.seen import SeenImages
from imagemodels.errors import ConfigError, CorruptCheckpoint, DataError
from imagemodels.evaluation.features import FeatureNet, held_out_accuracy, measuring_runtime, unit_scale
from imagemodels.export import load_model
from imagemodels.identity import sha256_hex
from imagemodels.runtime import Runtime

SEEN_FILE = "seen-images.bin"
SEEN_KEY = "seen_images"  # of a card's settings


@dataclass(frozen=True)
class Judge:
    """A trained classifier and what is recorded of it; `seen` is None where the model does not say."""

    name: str  # for messages, such as "reader@3"
    classifier: Classifier
    class_names: tuple[str, ...]
    dataset_fingerprint: str | None
    seen: SeenImages | None


def write_seen(folder: Path, dataset: ImageDataset) -> dict[str, Any]:
    """Write which images a model in ``folder`` learns from; gives what its card says of that."""
    content = SeenImages.of(dataset).to_bytes()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SEEN_FILE).write_bytes(content)
    return {SEEN_KEY: {"file": SEEN_FILE, "sha256": sha256_hex(content)}}


def load_judge(folder: Path, name: str, digest: str, runtime: Runtime) -> Judge:
    """Return the classifier in ``folder``, which must be the one of that digest.

    Raises ConfigError when it is no classifier, and CorruptCheckpoint when its files are not what was written.
    """
    card = read_card(folder)
    classifier = load_model(folder, measuring_runtime(runtime))
    if not isinstance(classifier, Classifier):
        raise ConfigError(f"model {name} is a {type(classifier).__name__.lower()}: only a classifier can judge images")
    if card.digest != digest:
        raise CorruptCheckpoint(f"{folder} holds another model than {name}: digest {card.digest}, recorded {digest}")
    metadata = card.metadata
    return Judge(name, classifier, metadata.class_names, metadata.dataset_fingerprint, _read_seen(folder, card))


def _read_seen(folder: Path, card: ModelCard) -> SeenImages | None:
    recorded = card.metadata.settings.get(SEEN_KEY)
    if recorded is None:
        return None
    path = folder / SEEN_FILE
    try:
        content = path.read_bytes()
        if sha256_hex(content) != recorded["sha256"]:
            raise CorruptCheckpoint(f"{path} was altered: its sha256 is not the one in the model's card")
        return SeenImages.from_bytes(content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptCheckpoint(f"{path} does not say which images the model has seen: {error}") from error


def judging_net(judge: Judge, dataset: ImageDataset) -> FeatureNet:
    """Return the judge as the feature net of an evaluation against ``dataset``.

    Raises DataError when size, channels or classes do not fit, or when it learnt from an image that is held out: the
    controls would tell how well it remembers.
    """
    _require_fit(judge, dataset)
    _require_unseen(judge, dataset)
    return FeatureNet(
        classifier=judge.classifier,
        kind="cnn",
        digest=judge.classifier.digest,
        image_size=dataset.image_size,
        channels=dataset.channels,
        scale=unit_scale(judge.classifier, dataset),
        accuracy=held_out_accuracy(judge.classifier, dataset),
    )


def _require_fit(judge: Judge, dataset: ImageDataset) -> None:
    spec = judge.classifier.network.spec
    if (spec.image_size, spec.channels) != (dataset.image_size, dataset.channels):
        raise DataError(
            f"judge {judge.name} takes images of {_shape(spec.image_size, spec.channels)}, and those of {dataset.name} "
            f"are read as {_shape(dataset.image_size, dataset.channels)}; choose a classifier trained on such images"
        )
    if dataset.class_names != judge.class_names:
        raise DataError(
            f"judge {judge.name} knows {_classes(judge.class_names)}, and {dataset.name} has "
            f"{_classes(dataset.class_names)}; choose a classifier trained on the same classes"
        )


def _require_unseen(judge: Judge, dataset: ImageDataset) -> None:
    if judge.dataset_fingerprint == dataset.fingerprint:
        return  # the same images in the same roles: it was trained on the training part
    held_out = len(dataset.test_indices)
    if judge.seen is None:
        raise DataError(
            f"judge {judge.name} was trained on other data than {dataset.name} and does not say on which images, so it "
            f"may know the {held_out} held-out ones; train it again, or choose another"
        )
    seen = judge.seen.count(dataset.images, dataset.test_indices)
    if seen:
        raise DataError(
            f"judge {judge.name} was trained on {seen} of the {held_out} images that {dataset.name} holds out: its "
            "numbers would flatter; choose a classifier that has not seen them"
        )


def _shape(image_size: int, channels: int) -> str:
    return f"{image_size}×{image_size}×{channels}"


def _classes(names: tuple[str, ...]) -> str:
    if not names:
        return "no classes"
    shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
    return f"{len(names)} classes ({shown})"
