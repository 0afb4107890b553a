"""What stands behind the question mark of an address: known names, values of bounded size, or a clear refusal."""

from collections.abc import Collection, Mapping
from typing import Any

from starlette.requests import Request

from db.finding import LARGEST_ID
from pixmill.names import suggestion
from server.errors import RequestError

MOST_CHARACTERS = 200  # of one value


def read_query(request: Request, known: Collection[str]) -> dict[str, str]:
    """The values that were given, of these names alone; empty ones are left out.  Raises RequestError."""
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in known:
            raise RequestError(f"this page knows no filter {shown(name)}", hint=suggestion(name[:50], known))
        if name in found:
            raise RequestError(f"{name} is given twice", hint="give it once")
        if len(value) > MOST_CHARACTERS or not value.isprintable():
            raise RequestError(f"{name} is no text of at most {MOST_CHARACTERS} letters", hint="shorten it")
        if value:
            found[name] = value
    return found


def number_of(query: Mapping[str, str], name: str, *, default: Any = None, most: int = LARGEST_ID) -> Any:
    """A whole number from 0 on, or the default where it was not given.  Raises RequestError."""
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= most):
        raise RequestError(f"{name}={shown(text)} is no whole number up to {most:,}", hint=f"{name}=12")
    return int(text)


def one_of(query: Mapping[str, str], name: str, known: Collection[str]) -> str | None:
    """One of these words; None where none was given.  Raises RequestError."""
    text = query.get(name)
    if text is not None and text not in known:
        raise RequestError(f"there is no {name} {shown(text)}", hint=suggestion(text[:50], known))
    return text


def label_of(query: Mapping[str, str]) -> dict[str, str]:
    """The label KEY=VALUE that was given.  Raises RequestError."""
    text = query.get("label")
    if text is None:
        return {}
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise RequestError(f"label={shown(text)} is no label", hint="label=project=digits")
    return {key: value}


def shown(text: str) -> str:
    """The text in quotes, no longer than a line takes."""
    return repr(text if len(text) <= 50 else f"{text[:50]}…")
