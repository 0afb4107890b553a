"""Which keys of a spec name models, by the spec's kind."""

from collections.abc import Iterator, Mapping
from typing import Any

_MODEL = ("model",)
MODEL_KEYS: Mapping[str, tuple[str, ...]] = {
    "train": ("start_from",),  # its `model` is a preset
    "generate": ("model", "further_models", "filter_model"),
    "animate": _MODEL,
    "edit": _MODEL,
    "evaluate": ("judge",),
    "gate": ("model", "against"),
    "compress": _MODEL,
    "decompress": _MODEL,
    "restore": _MODEL,
}


def models_of(spec: Mapping[str, Any]) -> Iterator[str]:
    """The references to models in a spec as it is stored.

    >>> list(models_of({"kind": "generate", "model": "digits@3", "further_models": ["cats@1"]}))
    ['digits@3', 'cats@1']
    """
    for key in MODEL_KEYS.get(spec.get("kind", ""), ()):
        value = spec.get(key)
        if isinstance(value, str):
            yield value
        else:
            yield from value or ()
