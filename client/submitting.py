"""From documents, texts and specs to stored jobs: all of them, or none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.documents import merge, parse_document, read_documents, spec_document, text_documents
from client.workspace import Workspace
from pixmill.errors import SpecError
from pixmill.specs import JobOptions

if TYPE_CHECKING:
    from pixmill.specs import Spec
    from scheduler.submit import Submitted

Request = tuple["Spec", JobOptions]


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
        return read_documents(str(wanted.expanduser().absolute()))
    return [dict(wanted) if isinstance(wanted, Mapping) else wanted.model_dump(mode="json", exclude_none=True)]


def request_of(document: Mapping[str, Any], options: Mapping[str, Any], kind: str | None = None) -> Request:
    """The job of a document, with options laid over it.  Raises SpecError."""
    return parse_document(merge(document, {"kind": kind, **options}))


def one_request(wanted: "Spec | Mapping[str, Any] | str | Path", options: Mapping[str, Any]) -> Request:
    """The one job that is asked for.  Raises SpecError or UserError."""
    documents = documents_of(wanted)
    if len(documents) != 1:
        raise SpecError(f"one job was expected, and {len(documents)} came", hint="submit_all takes several")
    return request_of(documents[0], options)


def send(workspace: Workspace, requests: Sequence[Request], *, user: str) -> "list[Submitted]":
    """Add all jobs in one transaction, or none.

    Raises SpecError, DatasetError, NotFound, Conflict, KeyConflict, ConfigError or DatabaseUnreachable.
    """
    from scheduler.submit import submit_many

    return submit_many(workspace.database, workspace.settings, requests, user=user)


def plan(workspace: Workspace, requests: Sequence[Request], *, user: str) -> list[Plan]:
    """What `send` would add.  Raises as `send` does, as far as that shows before."""
    from scheduler.submit import check_request, prepare

    checked = [(check_request(spec), options) for spec, options in requests]
    with workspace.database.read() as session:
        new = [prepare(session, spec, options, user=user) for spec, options in checked]
    return [
        Plan(
            document=spec_document(one.spec, {"name": one.name, **one.options}),
            tasks=len(one.tasks),
            images=one.progress_total,
        )
        for one in new
    ]
