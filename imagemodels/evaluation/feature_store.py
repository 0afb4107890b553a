"""Feature nets on disk: weights under the name of their own hash, and a JSON record that points to them.

The record is written last and each file in one step, so that a reader sees a whole feature net or none, and two
writers at once do no harm.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from imagemodels.data.fingerprint import settings_digest
from imagemodels.errors import CorruptCheckpoint
from imagemodels.networks.specs import ConvEncoderSpec

RECIPE = 1  # raised when the way in which a feature net is made changes, so that old ones are not taken for new


@dataclass(frozen=True)
class FeatureRecord:
    """All there is to a feature net: how it came about, what it is built like, and its weights."""

    kind: Literal["cnn", "rnd"]
    digest: str
    spec: ConvEncoderSpec
    accuracy: float | None
    scale: float
    weights: dict[str, Tensor]


def keep_features(cache_dir: Path, identity: Mapping[str, object], record: FeatureRecord) -> Path:
    """Write a feature net below cache_dir and return the path of its JSON record."""
    cache_dir.mkdir(parents=True, exist_ok=True)
    weights = save(record.weights)
    weights_sha256 = hashlib.sha256(weights).hexdigest()
    weights_name = f"feature-weights-{weights_sha256[:16]}.safetensors"
    _write(cache_dir / weights_name, weights)
    document = {
        "recipe": RECIPE,
        "identity": dict(identity),
        "kind": record.kind,
        "digest": record.digest,
        "spec": asdict(record.spec),
        "accuracy": record.accuracy,
        "scale": record.scale,
        "weights": weights_name,
        "weights_sha256": weights_sha256,
    }
    path = _record_path(cache_dir, identity)
    _write(path, json.dumps(document, indent=1, sort_keys=True).encode())
    return path


def find_features(cache_dir: Path, identity: Mapping[str, object]) -> FeatureRecord | None:
    """Return the feature net made under that identity, or None when there is none.

    Raises CorruptCheckpoint when its files are not what was written.
    """
    path = _record_path(cache_dir, identity)
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_bytes())
        weights = _read_weights(cache_dir / document["weights"], document["weights_sha256"])
        return FeatureRecord(
            kind=document["kind"],
            digest=document["digest"],
            spec=ConvEncoderSpec(**document["spec"]),
            accuracy=document["accuracy"],
            scale=document["scale"],
            weights=weights,
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError) as broken:
        raise CorruptCheckpoint(f"feature net {path}: {broken}; delete {path} to have it made again") from broken


def _record_path(cache_dir: Path, identity: Mapping[str, object]) -> Path:
    key = settings_digest({"recipe": RECIPE, **identity})
    return cache_dir / f"feature-net-{key[:16]}.json"


def _read_weights(path: Path, sha256: str) -> dict[str, Tensor]:
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ValueError(f"{path.name} has sha256 {found}, but {sha256} was written")
    weights: dict[str, Tensor] = load(content)
    return weights


def _write(path: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.chmod(0o644)  # mkstemp's 0600 would hide a shared cache from its other users
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
