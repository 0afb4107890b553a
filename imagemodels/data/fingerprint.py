"""The sha256 sums that say whether two data sets are the same."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def array_digest(array: npt.NDArray[Any]) -> str:
    """Return the sha256 of an array's dtype, shape and bytes."""
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def item_digests(array: npt.NDArray[Any]) -> list[str]:
    """Return the sha256 of each item along the first axis."""
    return [hashlib.sha256(item.tobytes()).hexdigest() for item in array]


def file_digest(path: Path) -> str:
    """Return the sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def settings_digest(settings: Mapping[str, object]) -> str:
    """Return the sha256 of JSON settings, whatever their order."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def files_fingerprint(files: Iterable[tuple[str, str]], settings: Mapping[str, object]) -> str:
    """Return the sha256 over sorted (relative path, file sha256) pairs and the settings they were decoded with."""
    digest = hashlib.sha256()
    for relative_path, content_digest in sorted(files):
        digest.update(f"{relative_path}\0{content_digest}\n".encode())
    digest.update(settings_digest(settings).encode())
    return digest.hexdigest()
