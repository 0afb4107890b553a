"""A key is for one job: submitted again under the same key, the same spec finds the job that was added."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from db.arrays import element_ids, find_array_by_key
from db.finding import get_job
from db.jobs import find_by_key
from db.registry import find_any_version, parse_reference
from db.tables.jobs import Array, Job
from db.views import first_params
from pixmill.aliases import aliases_of_task
from pixmill.arrays import index_text
from pixmill.errors import KeyConflict, SpecError
from pixmill.modelkeys import MODEL_KEYS
from pixmill.specs import Spec, parse_spec
from scheduler.groups import Group
from scheduler.kinds import kind_of
from scheduler.validation import registered_reference


def refuse_repeated_keys(groups: Sequence[Group]) -> None:
    """Raise SpecError when one key is given to several jobs."""
    counts = Counter(group.key for group in groups if group.key)
    repeated = [key for key, count in counts.items() if count > 1]
    if repeated:
        raise SpecError(f"key {repeated[0]!r} is given to {counts[repeated[0]]} jobs", hint="give each its own")


def present_jobs(session: Session, group: Group) -> list[int] | None:
    """The jobs that were submitted under the same key before; None if there are none.

    Raises KeyConflict if they ask for something else.
    """
    if group.key is None:
        return None
    job, array = find_by_key(session, group.key), find_array_by_key(session, group.key)
    if job is None and array is None:
        return None
    if group.indices is None and job is not None:
        _require_same(job, _as_submitted_then(session, group.requests[0][0], job), group.key)
        return [job.id]
    if group.indices is None or array is None:
        belongs = f"job {job.id}, which is no array" if job is not None else f"array {array.id if array else 0}"
        raise KeyConflict(f"key {group.key!r} belongs to {belongs}", hint="use another --key")
    return _present_array(session, group, array)


def _present_array(session: Session, group: Group, array: Array) -> list[int]:
    found = element_ids(session, array.id)
    assert group.indices is not None
    if list(found) != list(group.indices):
        asked, has = (index_text(list(indices), most=5) for indices in (group.indices, found))
        raise KeyConflict(
            f"key {group.key!r} belongs to array {array.id}, which has elements {has}; {asked} were asked for",
            hint=f"use another --key, or look at it: pixmill ps --all --array {array.id}",
        )
    if array.digest != group.digest:  # what a name stands for may have changed since, or a default
        for (spec, _options), job_id in zip(group.requests, found.values(), strict=True):
            present = get_job(session, job_id)
            _require_same(present, _as_submitted_then(session, spec, present), array.key or "")
    return list(found.values())


def _require_same(present: Job, spec: Spec, key: str) -> None:
    differences = _differences(present.spec, spec.model_dump(mode="json"))
    if not differences:  # a spec of an earlier version may lack a key that has its default now
        return
    raise KeyConflict(
        f"key {key!r} belongs to job {present.id}, which asks for something else: {'; '.join(differences)}",
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
