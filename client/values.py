"""Values of documents in words."""

from collections.abc import Mapping


def spec_fields(document: Mapping[str, object]) -> dict[str, str]:
    """What a job is asked for, a line each; what is left open has none."""
    return {key: value_text(value) for key, value in document.items() if key != "version" and value not in (None, {})}


def value_text(value: object) -> str:
    """A value of a document as people write it.

    >>> value_text(10_000), value_text(True), value_text({'width': 8}), value_text([1.5, 'a'])
    ('10,000', 'yes', 'width=8', '1.5, a')
    >>> value_text({"kid": {"max": 0.5, "worse_by": 0.01}, "speed": {"min": 9.0}})
    'kid (max=0.5, worse_by=0.01), speed (min=9)'
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(_entry(key, inner) for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(value_text(inner) for inner in value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _entry(key: object, value: object) -> str:
    return f"{key} ({value_text(value)})" if isinstance(value, Mapping) else f"{key}={value_text(value)}"
