"""The sha256 sums that say whether two data sets are the same."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Fingerprints:
    """What identifies a data set.

    exact    equal for equal pixels in equal roles: it covers contents, split, size, channels and the way of decoding
    content  equal for the same images in equal roles, whatever the size and the channels that they are read at
    """

    exact: str
    content: str


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


def files_fingerprints(
    files: Iterable[tuple[str, str]], roles: Mapping[str, object], decoding: Mapping[str, object]
) -> Fingerprints:
    """Return the sums over (relative path, file sha256) pairs, in the order of the paths, and settings.

    roles says which image plays which part, decoding how files become pixels.
    """
    digest = hashlib.sha256()
    for relative_path, content_digest in files:
        digest.update(f"{relative_path}\0{content_digest}\n".encode())
    return _fingerprints(digest, roles, decoding)


def arrays_fingerprints(
    images: npt.NDArray[Any],
    labels: npt.NDArray[Any] | None,
    roles: Mapping[str, object],
    decoding: Mapping[str, object],
) -> Fingerprints:
    """Return the sums over decoded arrays and the same settings."""
    digest = hashlib.sha256(array_digest(images).encode())
    digest.update(b"" if labels is None else array_digest(labels).encode())
    return _fingerprints(digest, roles, decoding)


def _fingerprints(
    contents: "hashlib._Hash", roles: Mapping[str, object], decoding: Mapping[str, object]
) -> Fingerprints:
    content, exact = contents.copy(), contents
    content.update(settings_digest(roles).encode())
    exact.update(settings_digest({**roles, **decoding}).encode())
    return Fingerprints(exact.hexdigest(), content.hexdigest())
