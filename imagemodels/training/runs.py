"""Which kind of run trains which family of presets."""

from collections.abc import Callable

from torch import Tensor

from imagemodels.data import SequenceDataset
from imagemodels.errors import ConfigError
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator
from imagemodels.training.config import TrainConfig
from imagemodels.training.ranks import Ranks
from imagemodels.training.run import Run


def new_run(
    config: TrainConfig,
    images: Tensor | SequenceDataset,
    labels: Tensor | None,
    runtime: Runtime,
    quality: Callable[[Generator], float] | None = None,
    *,
    test_images: Tensor | None = None,
    test_labels: Tensor | None = None,
    rows: Tensor | None = None,
    given: Tensor | None = None,
    test_given: Tensor | None = None,
    ranks: Ranks | None = None,
) -> Run:
    """Return the run that trains the preset of ``config``, of arguments as ``Trainer`` has them.

    Sequences take the place of images, for a preset that learns from them; they need no labels and are tested by
    their own held-out part. A forest copies the images that ``rows`` choose into memory. ``given`` and ``test_given``
    are what images are to be made from, of a preset that restores images and a data set of pairs.
    Raises DataError when the images do not fit the configuration, and ConfigError when they are of another sort
    than the preset learns from, or the memory would not do.
    """
    if isinstance(images, SequenceDataset):
        from imagemodels.training.sequence_trainer import SequenceTrainer

        return SequenceTrainer(config, images, runtime, ranks)
    if config.model.traits.restores_images:
        from imagemodels.training.restoration_trainer import RestorationTrainer

        pairs = {"given": given, "test_given": test_given}
        return RestorationTrainer(config, images, runtime, test_images=test_images, rows=rows, **pairs)
    if given is not None:
        raise ConfigError(f"preset {config.preset!r} is trained on single images, and was given pairs")
    if config.model.family == "forest":
        from imagemodels.training.forest import ForestFit

        return ForestFit(config, images if rows is None else images[rows], labels, runtime, quality)
    from imagemodels.training.codec_trainer import CodecTrainer
    from imagemodels.training.trainer import Trainer

    trainer = CodecTrainer if config.model.family == "codec" else Trainer
    tests = {"test_images": test_images, "test_labels": test_labels}
    return trainer(config, images, labels, runtime, quality, rows=rows, ranks=ranks, **tests)
