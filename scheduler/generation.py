"""What a generate job can be asked for."""

from collections.abc import Mapping
from typing import Any

from db.tables.models import ModelVersion
from pixmill.errors import SpecError
from pixmill.specs import GenerateSpec

_WAYS = ("classes", "class_counts", "class_weights")  # to say which classes; one at most
_FILTER: Mapping[str, Any] = {"min_confidence": 0.8}  # where nothing else is asked for
_TRIES: Mapping[str, Any] = {"max_tries": 100, "on_reject": "fail"}


def check_generate(spec: GenerateSpec) -> GenerateSpec:
    """The spec with all that is left open.  Raises SpecError for what does not go together."""
    given = [f"--{name.replace('_', '-')}" for name in _WAYS if getattr(spec, name) is not None]
    if len(given) > 1:
        raise SpecError(f"{given[0]} and {given[1]} both say how many images each class gets", hint="leave out one")
    if spec.class_counts is not None and sum(spec.class_counts.values()) != spec.n:
        total = sum(spec.class_counts.values())
        raise SpecError(f"the class counts sum to {total:,}, and {spec.n:,} images are asked for", hint="leave out --n")
    return _with_filter(_with_weights(spec))


def _with_weights(spec: GenerateSpec) -> GenerateSpec:
    count = len(spec.models)
    require_each_once(spec)
    if spec.model_weights is not None and len(spec.model_weights) != count:
        models = "1 model" if count == 1 else f"{count} models"
        raise SpecError(
            f"{len(spec.model_weights)} weights are given to {models}", hint="--model-weights: one for each"
        )
    if spec.further_models is None:
        return spec.model_copy(update={"model_weights": None})
    return spec.model_copy(update={"model_weights": spec.model_weights or [1.0] * count})


def require_each_once(spec: GenerateSpec) -> None:
    """Raise SpecError when a model is to make images twice."""
    repeated = [name for name in spec.models if spec.models.count(name) > 1]
    if repeated:
        raise SpecError(f"model {repeated[0]} is named twice", hint="give it a larger weight: --model-weights")


def check_alike(maker: ModelVersion | None, other: ModelVersion | None, hint: str | None = None) -> None:
    """Raise SpecError unless both models make images of one size and the same classes; None: it is still trained."""
    if maker is None or other is None:
        return
    names = [one.reference for one in (maker, other)]
    shapes = [f"{one.image_size}×{one.image_size}×{one.channels}" for one in (maker, other)]
    if shapes[0] != shapes[1]:
        raise SpecError(
            f"model {names[1]} makes images of {shapes[1]}, and {names[0]} of {shapes[0]}",
            hint=hint or "mix models that make images of one size",
        )
    if list(maker.classes) != list(other.classes):
        message = f"models {names[0]} and {names[1]} know other classes"
        raise SpecError(message, hint=hint or "mix models of the same classes")


def _with_filter(spec: GenerateSpec) -> GenerateSpec:
    defaults = {**_FILTER, **_TRIES} if spec.filter_model is not None else _TRIES if spec.reject_duplicates else {}
    for name in (*_FILTER, *_TRIES):
        if getattr(spec, name) is not None and name not in defaults:
            flag = f"--{name.replace('_', '-')}"
            raise SpecError(f"{flag} means nothing where no image is rejected", hint="--filter-model CNN")
    if spec.on_reject == "best" and spec.filter_model is None:
        raise SpecError("of duplicates none is the best; --on-reject best was asked for", hint="leave out --on-reject")
    return spec.model_copy(update={name: value for name, value in defaults.items() if getattr(spec, name) is None})


def check_filter(spec: GenerateSpec, maker: ModelVersion | None, judge: ModelVersion | None) -> None:
    """Raise SpecError unless the classifier takes the images and knows their classes; None: it is still trained."""
    if maker is None or judge is None:
        return
    taken, made = (f"{one.image_size}×{one.image_size}×{one.channels}" for one in (judge, maker))
    if taken != made:
        raise SpecError(
            f"filter model {spec.filter_model} takes images of {taken}, and those of {spec.model} are of {made}",
            hint="choose a classifier that was trained on such images",
        )
    known = [str(name) for name in judge.classes]
    for name in spec.named_classes or [str(name) for name in maker.classes]:
        if name not in known:
            raise SpecError(
                f"filter model {spec.filter_model} knows no class {name!r}; classes: {', '.join(known)}",
                hint="choose a classifier that was trained on the classes of the images",
            )
