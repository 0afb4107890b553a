"""The description that lies beside a model's weights. Free of torch."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from imagemodels.errors import CorruptCheckpoint

FORMAT_VERSION = 1
CARD_FILE = "model.json"
WEIGHTS_FILE = "weights.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """Where a model comes from."""

    preset: str
    images_seen: int
    seed: int
    class_names: tuple[str, ...] = ()
    dataset: str | None = None
    dataset_fingerprint: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)  # further facts, such as the training configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What stands in ``model.json``: enough to build the network again and to know it."""

    architecture: str
    spec: Mapping[str, Any]
    normaliser: str
    weights_sha256: str
    digest: str
    metadata: Metadata
    format_version: int = FORMAT_VERSION

    def to_json(self) -> str:
        """Return the card as indented JSON with sorted keys."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "ModelCard":
        """Return what ``to_json`` wrote; raises CorruptCheckpoint when it is no such text."""
        try:
            values = json.loads(text)
            _require_version(values)
            metadata = dict(values.pop("metadata"))
            metadata["class_names"] = tuple(metadata["class_names"])
            return cls(metadata=Metadata(**metadata), **values)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise CorruptCheckpoint(f"{CARD_FILE} is not the card of a model: {error!r}") from error


def read_card(folder: Path) -> ModelCard:
    """Return the card of the model in ``folder``; raises CorruptCheckpoint when there is none or it is unreadable."""
    path = folder / CARD_FILE
    try:
        return ModelCard.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise CorruptCheckpoint(f"no model can be read from {path}: {error}") from error


def _require_version(values: Mapping[str, Any]) -> None:
    found = values["format_version"]
    if found != FORMAT_VERSION:
        raise CorruptCheckpoint(f"{CARD_FILE} has format {found}; this version of imagemodels reads {FORMAT_VERSION}")
    unknown = set(values) - {entry.name for entry in fields(ModelCard)}
    if unknown:
        raise CorruptCheckpoint(f"{CARD_FILE} has unknown entries: {', '.join(sorted(unknown))}")
