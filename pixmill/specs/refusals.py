"""Why values are no spec, in one line; and those that none may hold."""

import re
from collections.abc import Iterable, Iterator, Mapping

from pydantic import ValidationError

from pixmill.errors import SpecError
from pixmill.gates.limits import Limits
from pixmill.names import suggestion

MAX_DEPTH = 40  # of lists and mappings in each other, in what is asked for
LONGEST_SHOWN = 200  # characters of a value that cannot be

_HALF = re.compile(r"[\ud800-\udfff]")
_UNION_TAGS = {"bool", "int", "float", "str"}  # pydantic appends the member of a union that it tried


def spec_error(error: ValidationError, known: Iterable[str], where: str) -> SpecError:
    """The first problem that pydantic found, in one line."""
    # A misspelt key also leaves the right one missing: the unknown key explains both.
    problem = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    path = [str(part) for part in problem["loc"]]
    in_union = len(path) > 2 and path[-1] in _UNION_TAGS
    if in_union:
        path.pop()
    dotted = ".".join(path) or "(whole)"
    if problem["type"] == "extra_forbidden":
        inner = Limits.model_fields if path[0] == "gates" else known
        return SpecError(f"{where}: unknown key '{dotted}'", hint=suggestion(path[-1], inner))
    if problem["type"] == "missing":
        return SpecError(f"{where}: '{dotted}' is missing", hint=f"give a value for '{dotted}'")
    message = problem["msg"].removeprefix("Value error, ")
    if in_union:
        message = "input should be true, false, a finite number or a string"
    message = message[:1].lower() + message[1:]
    hint = f"give another value for '{dotted}'"
    found = repr(problem.get("input"))
    shown = found if len(found) <= LONGEST_SHOWN else f"{found[:LONGEST_SHOWN]}…"
    return SpecError(f"{where}: '{dotted}' is {shown}: {message}", hint=hint)


def refuse_nul(values: object, where: str) -> None:
    """Raise SpecError for a text that no database takes, and for more than any spec holds."""
    for text in _texts(values, where):
        # PostgreSQL stores no NUL, neither in text nor in JSON.
        if "\0" in text:
            raise SpecError(f"{where}: a text holds the character NUL", hint="remove it")
        if _HALF.search(text):
            raise SpecError(f"{where}: a text holds half a character, which is no UTF-8", hint="remove it")


def _texts(values: object, where: str, depth: int = 0) -> Iterator[str]:
    if depth > MAX_DEPTH:
        raise SpecError(f"{where}: more than {MAX_DEPTH} lists and mappings in each other")
    if isinstance(values, str):
        yield values
    elif isinstance(values, Mapping):
        for key, value in values.items():
            yield from _texts(key, where, depth + 1)
            yield from _texts(value, where, depth + 1)
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _texts(value, where, depth + 1)
