"""Which class the image of each number has: all in turn, those that were named in turn, or by quotas."""

from collections.abc import Sequence

import numpy as np

from imagemodels.errors import ConfigError
from imagemodels.quotas import apportioned, parts_of
from pixmill.specs import GenerateSpec
from worker.assignment import ModelInput
from worker.device.made import Integers
from worker.device.makers import ClassesOf, classes_in_turn


def classes_of(spec: GenerateSpec, model: ModelInput, num_classes: int) -> ClassesOf:
    """The classes that the job asks for, as numbers of the model's.  Raises ConfigError for one it does not know."""
    quotas = _quotas(spec, model)
    if quotas is None:
        chosen = class_numbers(spec.classes, model)
        return lambda numbers: classes_in_turn(numbers, num_classes, chosen)
    classes, counts = quotas
    return lambda numbers: classes[parts_of(numbers, counts)]


def class_numbers(names: Sequence[str] | None, model: ModelInput) -> Integers | None:
    """The model's numbers of these classes; None when none are named.  Raises ConfigError for an unknown one."""
    if names is None:
        return None
    unknown = [name for name in names if name not in model.classes]
    if unknown:
        known = ", ".join(model.classes) or "it was trained without classes"
        raise ConfigError(f"model {model.reference} has no class {unknown[0]!r}; classes: {known}")
    return np.asarray([model.classes.index(name) for name in names], dtype=np.int64)


def _quotas(spec: GenerateSpec, model: ModelInput) -> tuple[Integers, list[int]] | None:
    """The classes that have quotas, and how many images each gets."""
    asked = spec.class_counts or spec.class_weights
    if asked is None:
        return None
    found = class_numbers(list(asked), model)
    assert found is not None
    # By their numbers, not as they were written: a database may keep the keys of an object in another order.
    order = np.argsort(found)
    values = [list(asked.values())[place] for place in order]
    counts = apportioned(values, spec.n) if spec.class_counts is None else [int(value) for value in values]
    return found[order], counts
