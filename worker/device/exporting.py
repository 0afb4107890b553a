"""A trained model as files that a row in the database may vouch for."""

import os
from pathlib import Path

from imagemodels.card import Metadata
from imagemodels.export import save_model
from imagemodels.model import Model
from storage.atomic import sync_folder
from storage.faults import named_faults


def export_model(folder: Path, model: Model, metadata: Metadata) -> str:
    """Write the model into `folder` and wait until the disk holds it; gives the sha256 of its weights.

    Raises DiskFull, PermissionDenied or StorageError.
    """
    with named_faults(folder):
        sha256 = save_model(folder, model, metadata)
        for path in folder.iterdir():
            _sync_file(path)
        sync_folder(folder)
        sync_folder(folder.parent)
    return sha256


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
