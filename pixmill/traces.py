"""The trace that a job belongs to, as W3C Trace Context writes it: from the submit to the process that computes."""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

VARIABLE = "TRACEPARENT"  # of the environment
_TRACE_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_SAMPLED = "01"
_submitting: ContextVar[str | None] = ContextVar("submitting", default=None)


def trace_id(trace_parent: str | None) -> str | None:
    """The trace's id, 32 digits; None where nothing, or no traceparent, is given.

    >>> trace_id("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    '4bf92f3577b34da6a3ce929d0e0e4736'
    """
    match = _TRACE_PARENT.fullmatch(trace_parent or "")
    return match[1] if match else None


def span_id(trace_parent: str) -> str:
    """The id of the span that is the parent, 16 digits.  Raises ValueError."""
    match = _TRACE_PARENT.fullmatch(trace_parent)
    if match is None:
        raise ValueError(f"{trace_parent!r} is no traceparent")
    return match[2]


def new_trace_parent(parent: str | None = None) -> str:
    """A traceparent with a span of its own: in the trace of that parent, with its flags, or in a new one."""
    if parent is None:
        return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-{_SAMPLED}"
    return f"00-{trace_id(parent)}-{secrets.token_hex(8)}-{parent[-2:]}"


@contextmanager
def submitting_as(trace_parent: str) -> Iterator[None]:
    """What is submitted meanwhile has this parent."""
    token = _submitting.set(trace_parent)
    try:
        yield
    finally:
        _submitting.reset(token)


def given_trace_parent() -> str:
    """That of the present submit, or of the environment, if it is one; else that of a new trace."""
    submitting = _submitting.get()
    if submitting is not None:
        return submitting
    given = os.environ.get(VARIABLE, "").strip().lower()
    match = _TRACE_PARENT.fullmatch(given)
    # A later version of the standard may append to it; the first four parts stay what they are.
    return f"00-{match[1]}-{match[2]}-{match[3]}" if match else new_trace_parent()
