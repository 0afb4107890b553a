"""Real images: where they come from, how they are decoded, and which of them are held out.

Nothing here imports torch, so that a command line can check a data set's name at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imagemodels.data.dataset import ImageDataset, dataset_from_arrays
    from imagemodels.data.errors import BadImage, DatasetMissing, DownloadFailed, UnknownDataset
    from imagemodels.data.loading import load_dataset
    from imagemodels.data.moving import SequenceDataset, load_sequences
    from imagemodels.data.packed import PackedStore
    from imagemodels.data.paired import PairedDataset, load_pairs
    from imagemodels.data.source import DATASET_KINDS, check_dataset_name, names_pairs, names_sequences

_HOMES = {
    "BadImage": "errors",
    "DATASET_KINDS": "source",
    "DatasetMissing": "errors",
    "DownloadFailed": "errors",
    "ImageDataset": "dataset",
    "PackedStore": "packed",
    "PairedDataset": "paired",
    "SequenceDataset": "moving",
    "UnknownDataset": "errors",
    "check_dataset_name": "source",
    "dataset_from_arrays": "dataset",
    "load_dataset": "loading",
    "load_pairs": "paired",
    "load_sequences": "moving",
    "names_pairs": "source",
    "names_sequences": "source",
}

__all__ = [
    "DATASET_KINDS",
    "BadImage",
    "DatasetMissing",
    "DownloadFailed",
    "ImageDataset",
    "PackedStore",
    "PairedDataset",
    "SequenceDataset",
    "UnknownDataset",
    "check_dataset_name",
    "dataset_from_arrays",
    "load_dataset",
    "load_pairs",
    "load_sequences",
    "names_pairs",
    "names_sequences",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
