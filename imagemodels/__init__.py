"""Image generators: train, sample, evaluate, export. Usable alone, without the queue.

Importing this package is cheap: torch is loaded with the first name that needs it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imagemodels.card import Metadata, read_card
    from imagemodels.classifier import Classifier, train_classifier
    from imagemodels.codec import Codec
    from imagemodels.data import load_dataset, load_pairs, load_sequences
    from imagemodels.evaluation import evaluate
    from imagemodels.export import load_model, save_model
    from imagemodels.prediction import Predictor
    from imagemodels.presets import PRESETS
    from imagemodels.restoration import Restorer
    from imagemodels.runtime import Runtime
    from imagemodels.sampling import Generator
    from imagemodels.shell import sample, train
    from imagemodels.training.config import TrainConfig
    from imagemodels.training.trainer import Trainer

__all__ = [
    "PRESETS",
    "Classifier",
    "Codec",
    "Generator",
    "Metadata",
    "Predictor",
    "Restorer",
    "Runtime",
    "TrainConfig",
    "Trainer",
    "evaluate",
    "load_dataset",
    "load_model",
    "load_pairs",
    "load_sequences",
    "read_card",
    "sample",
    "save_model",
    "train",
    "train_classifier",
]

_HOMES = {
    "PRESETS": "presets",
    "Classifier": "classifier",
    "Codec": "codec",
    "Generator": "sampling",
    "Metadata": "card",
    "Predictor": "prediction",
    "Restorer": "restoration",
    "Runtime": "runtime",
    "TrainConfig": "training.config",
    "Trainer": "training.trainer",
    "evaluate": "evaluation",
    "load_dataset": "data",
    "load_model": "export",
    "load_pairs": "data",
    "load_sequences": "data",
    "read_card": "card",
    "sample": "shell",
    "save_model": "export",
    "train": "shell",
    "train_classifier": "classifier",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
