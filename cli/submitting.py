"""From a spec document to a stored job, and what is said about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from cli.context import Workspace
from cli.documents import merge, parse_document, read_document, spec_document, yaml_text
from cli.formatting import count
from cli.output import print_ids, print_item, say, say_next
from pixmill.errors import SpecError
from pixmill.specs import EvaluateSpec, GenerateSpec, JobOptions, TrainSpec

if TYPE_CHECKING:
    from scheduler.submit import Spec, Submitted


@dataclass(frozen=True, kw_only=True)
class Presentation:
    """What to print, and how long to stay."""

    wait: bool
    dry_run: bool
    quiet: bool
    as_json: bool


def submit_document(
    workspace: Workspace,
    kind: str | None,
    source: str | None,
    flags: Mapping[str, Any],
    shown: Presentation,
    *,
    user: str,
) -> None:
    """Submit the job of a file and flags.

    Raises SpecError, DatasetError, NotFound, Conflict or DatabaseUnreachable; nothing is added then.
    """
    from scheduler.submit import submit

    document = read_document(source) if source else {}
    if kind is not None:
        _require_kind(document, kind, source)
    spec, options = parse_document(merge(document, {"kind": kind, **flags}))
    if shown.dry_run:
        _print_dry_run(workspace, spec, options, shown, user=user)
        return
    done = submit(workspace.database, workspace.settings, spec, options, user=user)
    _print_submitted(workspace, done, spec, options, shown)
    if shown.wait:
        _wait(workspace, done.job_id)


def _require_kind(document: Mapping[str, Any], kind: str, source: str | None) -> None:
    found = document.get("kind", kind)
    if found != kind:
        raise SpecError(
            f"{source} is a {found} spec, but a {kind} job was asked for", hint=f"pixmill submit -f {source}"
        )


def _print_dry_run(workspace: Workspace, spec: "Spec", options: JobOptions, shown: Presentation, *, user: str) -> None:
    from scheduler.submit import check_request, prepare

    spec = check_request(spec)
    with workspace.database.read() as session:
        new = prepare(session, spec, options, user=user)
    document = spec_document(new.spec, {"name": new.name, **new.options})
    if shown.as_json:
        print_item("job_spec", document)
    else:
        click.echo(yaml_text(document), nl=False)
    if not shown.quiet:
        tasks = f"{len(new.tasks)} task{'s' if len(new.tasks) > 1 else ''}"
        say(f"would submit {tasks}, {count(new.progress_total)} images; nothing was added")


def _print_submitted(
    workspace: Workspace, done: "Submitted", spec: "Spec", options: JobOptions, shown: Presentation
) -> None:
    if shown.as_json:
        _print_json(workspace, done.job_id)
    elif shown.quiet:
        print_ids([done.job_id])
    if shown.quiet or shown.as_json:
        if done.broker_error:
            say(f"note: {done.broker_error}; the job is stored and starts when it is back")
        return
    if not done.is_new:
        say(f"job {done.job_id} was submitted under key {options.key!r} already; nothing was added")
        return
    held = ", held" if options.hold else ""
    say(f"submitted job {done.job_id} ({summary(spec)}) to queue {options.queue}{held}")
    if done.broker_error:
        say(f"note: {done.broker_error}")
        say("      the job is stored, and starts once the broker is back: pixmill up")
    if not shown.wait:
        say_next(*_next_commands(done.job_id, options))


def _next_commands(job_id: int, options: JobOptions) -> list[str]:
    release = [f"let it go:  pixmill job release {job_id}"] if options.hold else []
    return [*release, f"follow it:  pixmill logs -f {job_id}", f"wait:       pixmill wait {job_id}"]


def summary(spec: "Spec") -> str:
    """What the job does, in some words."""
    match spec:
        case TrainSpec():
            return f"train {spec.model} on {spec.dataset}, {count(spec.images)} images"
        case GenerateSpec():
            return f"generate {count(spec.n)} images with {spec.model}"
        case EvaluateSpec():
            return f"evaluate {count(spec.n)} images of job {spec.output}"


def _print_json(workspace: Workspace, job_id: int) -> None:
    from cli.jobs import job_json
    from cli.reasons import read_situation
    from db.views import job_line

    with workspace.database.read() as session:
        line = job_line(session, job_id)
        situation = read_situation(session, workspace.settings.scheduler.lease_seconds)
    print_item("job", job_json(line, situation))


def _wait(workspace: Workspace, job_id: int) -> None:
    from cli.waiting import wait_and_exit

    wait_and_exit(workspace, [job_id], timeout_seconds=None)
