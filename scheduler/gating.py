"""What a gate job can be asked for."""

from db.registry import parse_reference
from db.tables.models import ModelVersion
from imagemodels.presets import resolve
from pixmill.errors import Conflict, NotFound, SpecError
from pixmill.gates.limits import Limits, default_gates
from pixmill.gates.measures import DEFAULT_PRIMARY, HEALTH, MEASURES
from pixmill.names import suggestion
from pixmill.specs import GateSpec, TrainSpec
from scheduler.validation import check_images


def check_gate(spec: GateSpec) -> GateSpec:
    """The spec with an absolute data set.  Raises DatasetError, or SpecError for a gate that cannot be."""
    for name, limits in (spec.gates or {}).items():
        _require_known(name)
        _check_limits(name, limits)
    if spec.primary is not None:
        _require_known(spec.primary)
    if spec.dataset is None:
        return spec
    return spec.model_copy(update={"dataset": check_images(spec.dataset)})


def _require_known(name: str) -> None:
    if name in HEALTH:
        raise SpecError(f"gate {name} is asked of every model, and cannot be changed", hint="leave it out")
    if name not in MEASURES:
        raise SpecError(
            f"gate {name!r}: nothing of that name is measured of a model that makes images",
            hint=suggestion(name, MEASURES),
        )


def _check_limits(name: str, limits: Limits) -> None:
    measure = MEASURES[name]
    if limits.is_empty:
        raise SpecError(f"gate {name} asks for nothing", hint="give it min, max, worse_by or worse_by_share")
    if limits.worse_by is not None and limits.worse_by_share is not None:
        raise SpecError(f"gate {name} has both worse_by and worse_by_share", hint="leave out one")
    against, given = ("min", limits.min) if measure.better == "lower" else ("max", limits.max)
    if given is not None:
        other = "max" if against == "min" else "min"
        raise SpecError(
            f"gate {name}: {measure.better} is better, and {against} {given:g} would refuse it",
            hint=f"give {other} instead",
        )
    for key, value in (("min", limits.min), ("max", limits.max)):
        low, high = measure.bounds
        if value is not None and not low <= value <= high:
            raise SpecError(
                f"gate {name}: {key} is {value:g}; it lies between {low:g} and {high:g}",
                hint=f"{name}: {measure.meaning}",
            )


def settled_gate(spec: GateSpec, trained: TrainSpec, version: ModelVersion | None) -> GateSpec:
    """The spec with the gates and the primary measure that were left open.

    `trained` is how the challenger was, or is, trained; `version` what came of it. Raises SpecError for a gate on
    classes that it does not know, and for a primary measure that may become worse at will.
    """
    knows_classes = trained.conditional if version is None else bool(version.classes)
    gates = spec.gates or default_gates(resolve(trained.model).family, has_classes=knows_classes)
    primary = spec.primary or DEFAULT_PRIMARY
    for name in (*gates, primary):
        if MEASURES[name].needs_classes and not knows_classes:
            raise SpecError(
                f"gate {name} is about classes, and model {spec.model} knows none",
                hint="leave it out, or train with --conditional",
            )
    if spec.against is not None and (primary not in gates or gates[primary].tolerance is None):
        raise SpecError(
            f"primary measure {primary} has no gate that says by how much it may be worse",
            hint=f"gates: {{{primary}: {{worse_by: …}}}}",
        )
    return spec.model_copy(update={"gates": gates, "primary": primary})


def require_other(challenger: str, champion: str) -> None:
    """Raise Conflict when a model is to be judged against itself."""
    if challenger == champion:
        raise Conflict(f"model {challenger} is the one that it would be judged against", hint="name another --model")


def no_champion(against: str, error: NotFound) -> NotFound:
    """The same error, with what to do where there never was a champion."""
    if parse_reference(against).alias is None:
        return error
    return NotFound(error.message, hint=f"{error.hint}; or leave out --against {against}: limits alone decide then")
