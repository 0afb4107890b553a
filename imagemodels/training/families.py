"""Which task trains which family of presets."""

from imagemodels.errors import ConfigError
from imagemodels.options import (
    AdversarialOptions,
    AutoencoderOptions,
    ClassifierOptions,
    CodecOptions,
    HybridOptions,
    RestorationOptions,
    SequenceOptions,
    TranslationOptions,
)
from imagemodels.runtime import Runtime
from imagemodels.training.adversarial import AdversarialTask
from imagemodels.training.autoencoder import AutoencoderTask
from imagemodels.training.classification import ClassifierTask
from imagemodels.training.codec import CodecTask
from imagemodels.training.config import TrainConfig
from imagemodels.training.hybrid import HybridTask
from imagemodels.training.restoration import RestorationTask
from imagemodels.training.sequence import SequenceTask
from imagemodels.training.task import Task
from imagemodels.training.translation import TranslationTask


def new_task(config: TrainConfig, runtime: Runtime) -> Task:
    """Return the task of the preset of ``config``, its networks freshly initialised on the device of ``runtime``."""
    options = config.model.options
    if isinstance(options, HybridOptions):
        return HybridTask(config, options, runtime)
    if isinstance(options, AutoencoderOptions):
        return AutoencoderTask(config, options, runtime)
    if isinstance(options, AdversarialOptions):
        return AdversarialTask(config, options, runtime)
    if isinstance(options, CodecOptions):
        return CodecTask(config, options, runtime)
    if isinstance(options, SequenceOptions):
        return SequenceTask(config, options, runtime)
    if isinstance(options, TranslationOptions):
        return TranslationTask(config, options, runtime)
    if isinstance(options, RestorationOptions):
        return RestorationTask(config, options, runtime)
    if isinstance(options, ClassifierOptions):
        return ClassifierTask(config, options, runtime)
    raise ConfigError(f"preset {config.preset!r} is not trained by gradients")
