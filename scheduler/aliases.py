"""From `NAME@champion` to the version that it stood for: what is remembered of the name."""

from collections.abc import Mapping, Sequence
from typing import Any

from db.registry import parse_reference
from pixmill.aliases import ALIASES_KEY
from pixmill.modelkeys import models_of
from pixmill.specs import Spec


def aliases_param(asked: Spec, pinned: Spec) -> dict[str, dict[str, str]]:
    """What each task is told of the aliases in `asked`, whose models are fixed in `pinned`; nothing without any."""
    named, fixed = (models_of(spec.model_dump(mode="json")) for spec in (asked, pinned))
    found = {
        version: alias
        for name, version in zip(named, fixed, strict=True)
        if (alias := parse_reference(name).alias) is not None
    }
    return {ALIASES_KEY: found} if found else {}


def submit_note(params: Mapping[str, Any], models: Sequence[str]) -> str | None:
    """What the event of a submit says of aliases."""
    aliases: Mapping[str, str] = params.get(ALIASES_KEY, {})
    told = [f"{name.partition('@')[0]}@{aliases[name]} is {name}" for name in models if name in aliases]
    return ", ".join(told) or None
