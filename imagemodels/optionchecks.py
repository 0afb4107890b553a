"""How an option says what it may be, and where a value that somebody gave is held against it. Free of torch."""

import re
from collections.abc import Mapping
from dataclasses import Field, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from imagemodels.errors import ConfigError
from imagemodels.names import did_you_mean

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

AnyOptions = TypeVar("AnyOptions", bound="DataclassInstance")

# What means nothing where another option has that value.
_STRENGTHS: Mapping[str, tuple[str, ...]] = {  # of each degradation
    "noise": ("noise_sigma",),
    "mask": ("hole_shape", "hole_count", "hole_share"),
    "downsample": ("downsample_factor",),
    "blur": ("blur_sigma",),
    "jpeg": ("jpeg_quality",),
    "given": (),
}
MEANINGLESS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("backbone", "mlp"): ("upsample", "norm", "residual", "discriminator_norm", "feature_size"),
    ("backbone", "conv"): ("depth",),
    ("optimizer", "sgd"): ("beta1", "beta2"),
    ("optimizer", "adam"): ("momentum",),
    **{
        ("degradation", chosen): tuple(name for other, names in _STRENGTHS.items() if other != chosen for name in names)
        for chosen in _STRENGTHS
    },
}


def within(lowest: float, highest: float) -> dict[str, float]:
    """Describe a number between ``lowest`` and ``highest``, both allowed; its type is that of the default."""
    return {"lowest": lowest, "highest": highest}


def among(choices: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Describe a name out of ``choices``."""
    return {"choices": choices}


def spelt(pattern: str, meaning: str) -> dict[str, str]:
    """Describe a text that matches ``pattern`` as a whole; ``meaning`` says in words what it must be."""
    return {"pattern": pattern, "meaning": meaning}


def overridden(options: AnyOptions, overrides: Mapping[str, object], preset: str) -> AnyOptions:
    """Return ``options`` with ``overrides``.

    Raises ConfigError when a name is unknown, a value has the wrong type or lies outside its range.
    """
    known = {option.name: option for option in fields(options)}
    for name in overrides:
        if name not in known:
            hint = did_you_mean(name, known)
            raise ConfigError(f"preset {preset!r} has no option {name!r}{hint}; it has {', '.join(sorted(known))}")
    checked: dict[str, Any] = {name: _checked(known[name], value) for name, value in overrides.items()}
    changed = replace(options, **checked)
    _require_meaning(changed, overrides)
    return changed


def _require_meaning(options: object, overrides: Mapping[str, object]) -> None:
    """Raise ConfigError for an option that means nothing to the chosen backbone, optimizer or degradation."""
    for (chooser, value), names in MEANINGLESS.items():
        found = [name for name in names if name in overrides and getattr(options, chooser, None) == value]
        if found:
            raise ConfigError(f"option {found[0]!r} means nothing to {chooser} {value!r}; leave it out")


def _checked(option: "Field[Any]", value: object) -> object:
    if "choices" in option.metadata:
        return _choice(option.name, value, option.metadata["choices"])
    if "pattern" in option.metadata:
        return _text(option, value)
    if isinstance(option.default, bool):
        if not isinstance(value, bool):
            raise ConfigError(f"option {option.name!r} is true or false, got {value!r}")
        return value
    return _number(option, value)


def _choice(name: str, value: object, choices: tuple[str, ...]) -> object:
    if value not in choices:
        hint = did_you_mean(value, choices) if isinstance(value, str) else ""
        raise ConfigError(f"option {name!r} is one of {', '.join(choices)}; got {value!r}{hint}")
    return value


def _text(option: "Field[Any]", value: object) -> str:
    text = str(value) if isinstance(value, int | str) else ""  # one number alone is no less a text
    if not re.fullmatch(option.metadata["pattern"], text):
        raise ConfigError(f"option {option.name!r} is {option.metadata['meaning']}; got {value!r}")
    return text


def _number(option: "Field[Any]", value: object) -> int | float:
    whole = isinstance(option.default, int)
    fits = isinstance(value, int) if whole else isinstance(value, int | float)
    if not fits or isinstance(value, bool):
        raise ConfigError(f"option {option.name!r} is a {'whole ' if whole else ''}number, got {value!r}")
    assert isinstance(value, int | float)
    lowest, highest = option.metadata["lowest"], option.metadata["highest"]
    if not lowest <= value <= highest:  # also refuses NaN
        raise ConfigError(f"option {option.name!r} lies between {lowest} and {highest}, got {value}")
    return value if whole else float(value)
