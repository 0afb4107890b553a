"""What commands print as JSON, held against the schemas that the package brings along."""

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from cli.envelopes import read_schema


def check_envelope(text: str) -> None:
    """Fail unless the JSON is what its schema says, and nothing else."""
    document = json.loads(text)
    name = document["schema"].removeprefix("pixmill.").removesuffix("/1")
    errors = [f"{error.json_path}: {error.message}" for error in _validator(name).iter_errors(document)]
    assert not errors, f"{name}: {errors[:5]}"


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(strict(read_schema(name)), format_checker=Draft202012Validator.FORMAT_CHECKER)


def strict(schema: Any) -> Any:
    """The same schema without room for fields that it does not name: readers must leave room, we may not use it."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: strict(value) for key, value in schema.items()}
    # A spec has further fields of its own kind.
    if isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema:
        closed["additionalProperties"] = False
    return closed
