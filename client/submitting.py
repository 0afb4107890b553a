"""From documents, texts and specs to stored jobs: all of them, or none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.documents import merge, read_documents, spec_document, text_documents
from client.sweeps import expanded
from client.workspace import Workspace
from pixmill.errors import SpecError
from pixmill.homes import expanded as expanded_path

if TYPE_CHECKING:
    from db.jobs import NewJob
    from pixmill.specs import Spec
    from scheduler.groups import Group
    from scheduler.submit import Submitted


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a submit would add."""

    document: Mapping[str, Any]  # that asks for the very same, all that was left open filled in
    tasks: int
    images: int


def documents_of(wanted: "Spec | Mapping[str, Any] | str | Path") -> list[dict[str, Any]]:
    """What is asked for as documents: several if a text or a file holds several.  Raises SpecError or UserError."""
    if isinstance(wanted, str):
        return text_documents(wanted)
    if isinstance(wanted, Path):
        return read_documents(str(expanded_path(wanted).absolute()))
    return [dict(wanted) if isinstance(wanted, Mapping) else wanted.model_dump(mode="json", exclude_none=True)]


def group_of(document: Mapping[str, Any], options: Mapping[str, Any], kind: str | None = None) -> "Group":
    """The job of a document, or those of its array, with options laid over it.  Raises SpecError."""
    return expanded(merge(document, {"kind": kind, **options}))


def one_group(wanted: "Spec | Mapping[str, Any] | str | Path", options: Mapping[str, Any]) -> "Group":
    """The one job, or the one array, that is asked for.  Raises SpecError or UserError."""
    documents = documents_of(wanted)
    if len(documents) != 1:
        raise SpecError(f"one job was expected, and {len(documents)} came", hint="submit_all takes several")
    return group_of(documents[0], options)


def one_job(wanted: "Spec | Mapping[str, Any] | str | Path", options: Mapping[str, Any]) -> "Group":
    """The one job that is asked for.  Raises SpecError, also for an array, or UserError."""
    group = one_group(wanted, options)
    if group.indices is not None:
        raise SpecError("one job was expected, and an array came", hint="submit_array and plan_array take it")
    return group


def one_array(wanted: "Spec | Mapping[str, Any] | str | Path", options: Mapping[str, Any]) -> "Group":
    """The one array that is asked for.  Raises SpecError, also for a single job, or UserError."""
    group = one_group(wanted, options)
    if group.indices is None:
        raise SpecError("an array was expected, and one job came", hint='give array="0-15", or sweep={"seed": "0..4"}')
    return group


def send(workspace: Workspace, groups: "Sequence[Group]", *, user: str) -> "list[Submitted]":
    """Add all jobs in one transaction, or none; gives what became of each, in order.

    Raises SpecError, DatasetError, NotFound, Conflict, KeyConflict, ConfigError or DatabaseUnreachable.
    """
    from scheduler.spans import submit_span
    from scheduler.submit import submit_groups

    with submit_span():
        return submit_groups(workspace.database, workspace.settings, groups, user=user)


def plan(workspace: Workspace, groups: "Sequence[Group]", *, user: str) -> list[list[Plan]]:
    """What `send` would add, job by job of each group.  Raises as `send` does, as far as that shows before."""
    from scheduler.submit import check_group, prepare_group

    checked = [check_group(group) for group in groups]
    with workspace.database.read() as session:
        prepared = [prepare_group(session, group, user=user) for group in checked]
    return [[_plan(job) for job in jobs] for jobs in prepared]


def _plan(new: "NewJob") -> Plan:
    return Plan(
        document=spec_document(new.spec, {"name": new.name, **new.options}),
        tasks=len(new.tasks),
        images=new.progress_total,
    )
