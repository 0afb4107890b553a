"""References inside documents: `${train.model}` stands for a value that is known when a step begins, and not before.

There is no more to the language than that, and conditions that compare one value with one literal.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pixmill.errors import SpecError

HINT = "write ${STEP.FIELD}, ${params.NAME}, ${run.FIELD} or ${champion.MODEL}"

_INSIDE = r"([A-Za-z][A-Za-z0-9_-]*)\.([A-Za-z0-9_][A-Za-z0-9._-]*)"
_REFERENCE = re.compile(rf"\$\{{{_INSIDE}\}}")
_CONDITION = re.compile(rf"\s*\$\{{{_INSIDE}\}}\s*(?:==\s*(.*\S)\s*)?")

Value = bool | int | float | str


@dataclass(frozen=True)
class Reference:
    """`${place.field}`."""

    place: str  # a step, "params", "run" or "champion"
    field: str  # of a champion: the name of the model

    def __str__(self) -> str:
        return f"${{{self.place}.{self.field}}}"


@dataclass(frozen=True)
class Condition:
    """A value that must be true, or equal to a literal."""

    reference: Reference
    literal: Value | None  # None: the value itself must be true

    def holds(self, value: Value | None) -> bool:
        """Whether the step goes on with this value.  Raises SpecError for one that is neither true nor false.

        >>> parse_condition("${gate.verdict} == PROMOTE").holds("HOLD")
        False
        """
        if self.literal is not None:
            return bool(value == self.literal) and isinstance(value, bool) == isinstance(self.literal, bool)
        if not isinstance(value, bool):
            hint = f"compare it: when: {self.reference} == {value}"
            raise SpecError(f"when: {self.reference} is {value!r}, neither true nor false", hint=hint)
        return value


def parse_condition(text: object) -> Condition:
    """Read a condition.  Raises SpecError.

    >>> parse_condition("${promote.promoted}")
    Condition(reference=Reference(place='promote', field='promoted'), literal=None)
    >>> parse_condition("${gate.verdict} == 'PROMOTE'").literal
    'PROMOTE'
    """
    match = _CONDITION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        hint = "write when: ${STEP.FIELD}, or when: ${STEP.FIELD} == VALUE"
        raise SpecError(f"condition {text!r} cannot be read", hint=hint)
    return Condition(Reference(match[1], match[2]), None if match[3] is None else _literal(match[3]))


def _literal(text: str) -> Value:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def references_in(value: object) -> Iterator[Reference]:
    """All references in a JSON value.  Raises SpecError for one that cannot be read.

    >>> [str(found) for found in references_in({"model": "${train.model}", "n": [1, "${params.n}"]})]
    ['${train.model}', '${params.n}']
    """
    if isinstance(value, str):
        if "${" in _REFERENCE.sub("", value):
            raise SpecError(f"{value!r} holds a reference that cannot be read", hint=HINT)
        yield from (Reference(*match.groups()) for match in _REFERENCE.finditer(value))
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from references_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from references_in(inner)


def substituted(value: Any, look_up: Callable[[Reference], Value | None]) -> Any:
    """The JSON value with values in place of references; a text that is one reference takes the value's type.

    Raises SpecError for a value that is none inside a longer text.

    >>> substituted({"n": "${params.n}", "name": "night-${params.n}"}, lambda reference: 7)
    {'n': 7, 'name': 'night-7'}
    """
    if isinstance(value, str):
        whole = _REFERENCE.fullmatch(value)
        if whole:
            return look_up(Reference(*whole.groups()))
        return _REFERENCE.sub(lambda match: _text(Reference(*match.groups()), look_up), value)
    if isinstance(value, Mapping):
        return {key: substituted(inner, look_up) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [substituted(inner, look_up) for inner in value]
    return value


def _text(reference: Reference, look_up: Callable[[Reference], Value | None]) -> str:
    value = look_up(reference)
    if value is None:
        raise SpecError(f"{reference} is none, and stands inside a longer text", hint="let it stand alone")
    return str(value).lower() if isinstance(value, bool) else str(value)
