"""A program for the tests: train, sample and classify under limits of memory that full batches do not keep.

    python -m tests.worker.short_memory

Each limit is far below what a full batch needs, and far above what is needed besides. Prints one JSON object.
"""

import hashlib
import io
import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from imagemodels.classifier import Classifier
from imagemodels.networks.decoder import ConvDecoder
from imagemodels.networks.encoder import ConvEncoder
from imagemodels.networks.specs import ConvDecoderSpec, ConvEncoderSpec
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator
from imagemodels.training.config import TrainConfig
from imagemodels.training.events import Progress
from imagemodels.training.trainer import Trainer

MEBIBYTE = 2**20
LIMITS = {"train": 90, "sample": 90, "classify": 60}  # MiB more than the process has before
SIDE = 32  # pixels
BATCH = 1024  # images
CLASSES = 10
# Every map of a full batch is a block of memory of its own, which is given back to the kernel when it is freed.
ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}


def new_trainer() -> Trainer:
    """One step of a classifier of large maps: next to nothing but them needs memory."""
    config = TrainConfig(
        preset="cnn",
        image_size=SIDE,
        channels=1,
        images=BATCH,
        num_classes=CLASSES,
        batch_size=BATCH,
        overrides={"width": 32, "feature_size": 8},
    )
    labels = torch.arange(64) % CLASSES
    return Trainer(config, images_of(64, SIDE), labels, Runtime(threads=1))


def images_of(count: int, side: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 1, side, side), dtype=torch.uint8, generator=random)


def new_generator(batch_size: int = BATCH) -> Generator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = ConvDecoder(ConvDecoderSpec(image_size=SIDE, channels=1, latent_size=8, width=32))
    runtime = Runtime(threads=1)
    runtime.place(network)
    return Generator(network, runtime, batch_size)


def new_classifier() -> Classifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = ConvEncoder(ConvEncoderSpec(image_size=64, channels=1, outputs=CLASSES, width=64, feature_size=8))
    runtime = Runtime(threads=1)
    runtime.place(network)
    return Classifier(network, runtime)


def train(trainer: Trainer) -> dict[str, Any]:
    sizes = [event.micro_batch for event in trainer.run() if isinstance(event, Progress)]
    file = io.BytesIO()
    trainer.save(file)
    return {"size": trainer.micro_batch, "told": sizes[-1], "digest": digest(file.getvalue())}


def sample(generator: Generator) -> dict[str, Any]:
    images = generator.sample(7, np.arange(BATCH))
    return {"size": generator.batch_size, "digest": digest(images.tobytes())}


def classify(classifier: Classifier) -> dict[str, Any]:
    features = classifier.features(images_of(256, 64))
    return {"size": classifier.batch_size, "digest": digest(features.numpy().tobytes())}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def main() -> None:
    trainer, generator, classifier = new_trainer(), new_generator(), new_classifier()
    warm_up()
    cases: dict[str, Callable[[], dict[str, Any]]] = {
        "train": lambda: train(trainer),
        "sample": lambda: sample(generator),
        "classify": lambda: classify(classifier),
    }
    found = {}
    for case, work in cases.items():
        limit_memory(LIMITS[case])
        found[case] = work()
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(json.dumps(found))  # noqa: T201


def warm_up() -> None:
    """Load and compile what is loaded and compiled once."""
    trainer = new_trainer()
    trainer.task.step(trainer.stream.batch(0), 64)
    new_generator(64).sample(0, np.arange(64))
    new_classifier().features(images_of(32, 64))


def limit_memory(mebibytes: int) -> None:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    resource.setrlimit(
        resource.RLIMIT_AS, (pages * resource.getpagesize() + mebibytes * MEBIBYTE, resource.RLIM_INFINITY)
    )


if __name__ == "__main__":
    main()
