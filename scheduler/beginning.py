"""What a train job begins with, and whose data its own are compared with: fixed when it is submitted."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from db.aliases import aliased_version
from db.datasets import registered_dataset
from db.registry import training_state
from db.tables.models import ModelVersion
from imagemodels.beginning import differences
from imagemodels.presets import resolve
from pixmill.aliases import CHAMPION
from pixmill.datasets import AGAINST_KEY
from pixmill.errors import Conflict, NotFound, SpecError
from pixmill.specs import TrainSpec
from scheduler.pinning import Parents, pinned_as_trained
from scheduler.validation import registered_reference


def pin_train(session: Session, spec: TrainSpec, parents: Parents) -> TrainSpec:
    """Fix the very version that training begins with, and take size and channels from it unless they are given.

    Raises SpecError when its networks are not those that are to be trained, and Conflict when its training state is
    gone; beside these as `pinned_as_trained` does.
    """
    if spec.start_from is None:
        return spec
    reference, version, trained = pinned_as_trained(session, spec.start_from, parents, _require_networks)
    shape = {key: getattr(version or trained, key) for key in ("image_size", "channels")}
    found = {key: value for key, value in shape.items() if value is not None}
    different = [*differences(resolve(spec.model, spec.options), resolve(trained.model, trained.options))]
    different += [
        f"{key} {getattr(spec, key)}, and not {value}"
        for key, value in found.items()
        if getattr(spec, key) not in (None, value)
    ]
    different += _other_classes(session, spec, trained, version)
    if different:
        raise SpecError(
            f"training cannot begin with {reference}, whose networks are others: {'; '.join(different)}",
            hint="ask for the same, or train from scratch: --from none",
        )
    if version is not None and training_state(session, version) is None:
        raise Conflict(f"model {reference} has no training state to begin with", hint="take another version")
    return spec.model_copy(update={"start_from": reference, **found})


def _require_networks(model: str, preset: str) -> None:
    if resolve(preset).family == "forest":
        raise SpecError(f"model {model} is a forest, which is grown anew each time", hint="leave out --from")


def _other_classes(session: Session, spec: TrainSpec, trained: TrainSpec, version: ModelVersion | None) -> list[str]:
    """How the classes differ, as far as that is known without the data."""
    if spec.conditional != trained.conditional:
        words = {True: "with classes", False: "without classes"}
        return [f"{words[spec.conditional]}, and not {words[trained.conditional]}"]
    name = registered_reference(spec.dataset)
    if version is None or not version.classes or name is None:
        return []
    try:
        classes = registered_dataset(session, name.name).description["classes"]
    except NotFound:  # a name that pixmill knows by itself, or nobody: both are told elsewhere
        return []
    return [] if classes == version.classes else [other_classes(classes, version.classes)]


def other_classes(classes: list[str], before: list[str]) -> str:
    """How two lists of classes differ, in some words."""
    return f"{len(classes)} classes ({_some(classes)}), and not {len(before)} ({_some(before)})"


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")


def compared_with(session: Session, spec: TrainSpec, name: str) -> Mapping[str, Any]:
    """The champion of the model that is trained, unless training begins with a version: data are compared with its."""
    if spec.start_from is not None:
        return {}
    champion = _champion(session, name)
    return {} if champion is None else {AGAINST_KEY: f"{name}@{champion}"}


def _champion(session: Session, name: str) -> int | None:
    """The version, asked for once in a transaction: thousands of jobs of one name may be submitted in it."""
    asked: dict[str, int | None] = session.info.setdefault("champions", {})
    if name not in asked:
        asked[name] = aliased_version(session, name, CHAMPION)
    return asked[name]
