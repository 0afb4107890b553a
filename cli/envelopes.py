"""The JSON that commands print, as JSON Schemas (draft 2020-12): one file for each envelope, beside this module.

What several envelopes share stands in `definitions.json`; whoever reads a schema gets it with what it refers to.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pixmill.errors import NotFound
from pixmill.names import suggestion

FOLDER = Path(__file__).with_name("schemas")
DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SHARED = "definitions"
_ELSEWHERE, _HERE = f"{_SHARED}.json#/$defs/", "#/$defs/"
_SCALARS = frozenset({"string", "integer", "number", "boolean", "null"})


def schema_names() -> list[str]:
    """The names of all envelopes, such as `job_list`."""
    return sorted(path.stem for path in FOLDER.glob("*.json") if path.stem != _SHARED)


def read_schema(name: str) -> dict[str, Any]:
    """The schema of an envelope, with everything that it refers to.  Raises NotFound."""
    names = schema_names()
    if name not in names:
        raise NotFound(f"there is no schema {name!r}", hint=suggestion(name, names))
    document = _read(name)
    needed: dict[str, Any] = {}
    _gather(document, needed)
    whole: dict[str, Any] = _rewritten(document)
    return whole | ({"$defs": {key: _rewritten(needed[key]) for key in sorted(needed)}} if needed else {})


@cache
def _read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return document


def _gather(part: Any, needed: dict[str, Any]) -> None:
    for reference in _references(part):
        if reference not in needed:
            needed[reference] = _read(_SHARED)["$defs"][reference]
            _gather(needed[reference], needed)


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if "$ref" in part:
            yield str(part["$ref"]).rpartition("/")[2]
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def _rewritten(part: Any) -> Any:
    if isinstance(part, dict):
        return {
            key: str(value).replace(_ELSEWHERE, _HERE) if key == "$ref" else _rewritten(value)
            for key, value in part.items()
        }
    return [_rewritten(value) for value in part] if isinstance(part, list) else part


def flat_fields(name: str) -> list[str]:
    """The fields of a list's items that a cell can hold, in order; those of an object inside with a dot.

    Left out are lists of objects, and objects whose fields are not known beforehand, unless all they hold is text, such
    as labels.
    """
    schema = read_schema(name)
    item = schema["properties"]["items"]["items"]
    return list(_flat(item, schema.get("$defs", {}), ""))


def _flat(part: Mapping[str, Any], shared: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name, found in _resolved(part, shared).get("properties", {}).items():
        value = _resolved(found, shared)
        if "properties" in value:
            yield from _flat(value, shared, f"{prefix}{name}.")
        elif _fits_a_cell(value, shared):
            yield prefix + name


def _fits_a_cell(value: Mapping[str, Any], shared: Mapping[str, Any]) -> bool:
    if _is_scalar(value):
        return True
    inner = value.get("items", value.get("additionalProperties"))
    return isinstance(inner, dict) and _is_scalar(_resolved(inner, shared))


def _is_scalar(value: Mapping[str, Any]) -> bool:
    if "enum" in value or "const" in value:
        return True
    kinds = value.get("type", ())
    return bool(kinds) and set([kinds] if isinstance(kinds, str) else kinds) <= _SCALARS


def _resolved(part: Mapping[str, Any], shared: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a reference stands for; of a thing that may be null, the thing."""
    if "$ref" in part:
        return _resolved(shared[str(part["$ref"]).rpartition("/")[2]], shared)
    for choice in part.get("anyOf", ()):
        if choice.get("type") != "null":
            return _resolved(choice, shared)
    return part
