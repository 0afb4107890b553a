"""A reason: one word that scripts can match, and the words behind it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Reason:
    """A code such as `Dependency(3)`, and what is behind it."""

    code: str
    text: str = ""  # a sentence, with numbers
    brief: str | None = None  # what a table shows of it; None: the text
    remedy: str = ""  # the command that changes it
    facts: Mapping[str, Any] = field(default_factory=dict)  # the numbers, for scripts

    def to_json(self) -> dict[str, Any]:
        """The reason as JSON."""
        name = self.code.partition("(")[0]
        text = self.text or None
        return {"reason": name, "code": self.code, "text": text, "remedy": self.remedy or None, "facts": self.facts}


def reason_text(reason: Reason | None) -> str:
    """The code, and some words: the cell of a table."""
    if reason is None:
        return ""
    words = reason.text if reason.brief is None else reason.brief
    return f"{reason.code}: {words}" if words else reason.code


def lasting_code(reason: Reason) -> str:
    """The code, but for what changes in it from second to second."""
    name = reason.code.partition("(")[0]
    return name if name in {"BeginTime", "RetryBackoff"} else reason.code
