"""A key is for one job: submitted again under the same key, the same spec finds the job that was added."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from db.jobs import find_by_key
from db.registry import find_any_version, parse_reference
from db.tables import Job
from db.views import first_params
from pixmill.aliases import aliases_of_task
from pixmill.errors import KeyConflict, SpecError
from pixmill.modelkeys import MODEL_KEYS
from pixmill.specs import JobOptions, Spec, parse_spec
from scheduler.kinds import kind_of
from scheduler.validation import registered_reference


def refuse_repeated_keys(requests: Sequence[tuple[Spec, JobOptions]]) -> None:
    """Raise SpecError when one key is given to several jobs."""
    counts = Counter(options.key for _spec, options in requests if options.key)
    repeated = [key for key, count in counts.items() if count > 1]
    if repeated:
        raise SpecError(f"key {repeated[0]!r} is given to {counts[repeated[0]]} jobs", hint="give each its own")


def present_job(session: Session, spec: Spec, key: str | None) -> int | None:
    """The job that was submitted under the same key before.  Raises KeyConflict if it asks for something else."""
    present = find_by_key(session, key) if key else None
    if present is None:
        return None
    _require_same(present, _as_submitted_then(session, spec, present))
    return present.id


def _require_same(present: Job, spec: Spec) -> None:
    differences = _differences(present.spec, spec.model_dump(mode="json"))
    if not differences:  # a spec of an earlier version may lack a key that has its default now
        return
    raise KeyConflict(
        f"key {present.key!r} belongs to job {present.id}, which asks for something else: {'; '.join(differences)}",
        hint=f"use another --key, or look at it: pixmill job show {present.id}",
    )


def _as_submitted_then(session: Session, spec: Spec, present: Job) -> Spec:
    """The spec with all that was fixed when the key was first used: by now a name may stand for something newer."""
    kind, then = kind_of(spec), present.spec
    named = MODEL_KEYS.get(spec.kind, ())
    aliases = aliases_of_task(first_params(session, present.id)) if named else {}
    models = [key for key in named if _are_named(session, getattr(spec, key), then.get(key), aliases)]
    datasets = [key for key in kind.datasets.values() if _is_name_of_dataset(getattr(spec, key), then.get(key))]
    has_model = any(getattr(spec, key) for key in named)
    left_open = [key for key in kind.left_to_model if has_model and getattr(spec, key) is None]
    fixed = {key: then.get(key) for key in (*models, *datasets, *left_open)}
    return parse_spec({**spec.model_dump(mode="json"), **fixed})


def _are_named(
    session: Session, names: str | list[str] | None, pinned: str | list[str] | None, aliases: Mapping[str, str]
) -> bool:
    """Whether a person may have meant these models, one or several."""
    if isinstance(names, list) and isinstance(pinned, list):
        return len(names) == len(pinned) and all(
            name in _names_of_model(session, one, aliases) for name, one in zip(names, pinned, strict=True)
        )
    return names == pinned or (isinstance(pinned, str) and names in _names_of_model(session, pinned, aliases))


def _names_of_model(session: Session, pinned: str, aliases: Mapping[str, str]) -> set[str]:
    """All that a person may have called the model that a spec fixes, if it fixes one."""
    reference = parse_reference(pinned)
    if reference.name is None or reference.version is None:
        return {pinned}
    found = find_any_version(session, reference.name, reference.version)
    assert found is not None  # its row outlives its files
    named = {f"{reference.name}@{aliases[pinned]}"} if pinned in aliases else set()
    return {pinned, reference.name, f"job:{found.job_id}", *named}


def _is_name_of_dataset(name: str | None, present: str | None) -> bool:
    """Whether the data set of a present job was registered under the name when the job was submitted."""
    pinned = registered_reference(present or "")
    return pinned is not None and pinned.name == name


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    keys = sorted(old.keys() | new.keys())
    return [f"{key} {old.get(key)!r} → {new.get(key)!r}" for key in keys if old.get(key) != new.get(key)]
