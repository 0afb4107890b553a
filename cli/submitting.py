"""From spec documents to stored jobs, and what is said about them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from cli.context import Workspace
from cli.output import print_ids, print_item, print_list, say, say_next
from client.documents import read_documents, yaml_text
from client.submitting import group_of, plan, send
from client.wording import count, plural
from pixmill.errors import SpecError
from pixmill.specs import (
    AnimateSpec,
    CompressSpec,
    DecompressSpec,
    EditSpec,
    EvaluateSpec,
    GateSpec,
    GenerateSpec,
    JobOptions,
    PingSpec,
    ReportSpec,
    RestoreSpec,
    TrainSpec,
)

if TYPE_CHECKING:
    from pixmill.specs import Spec
    from scheduler.groups import Group
    from scheduler.submit import Submitted

_SHOWN_JOBS = 12
_SHOWN_ELEMENTS = 3  # of an array, in a dry run; the JSON has them all


@dataclass(frozen=True, kw_only=True)
class Presentation:
    """What to print, and how long to stay."""

    wait: bool
    dry_run: bool
    quiet: bool
    as_json: bool


def submit_documents(
    workspace: Workspace,
    kind: str | None,
    sources: Sequence[str],
    flags: Mapping[str, Any],
    shown: Presentation,
    *,
    user: str,
) -> None:
    """Submit the jobs of files and flags, all or none; without a file the one of the flags.

    Raises SpecError, DatasetError, NotFound, Conflict or DatabaseUnreachable; nothing is added then.
    """
    groups = list(_groups(kind, sources, flags))
    if shown.dry_run:
        _print_dry_run(workspace, groups, shown, user=user)
        return
    done = send(workspace, groups, user=user)
    if shown.as_json or shown.quiet:
        _print_data(workspace, done, shown)
    elif len(groups) == 1 and groups[0].indices is not None:
        _say_array(done, groups[0], shown)
    elif len(done) == 1:
        _say_submitted(done[0], *groups[0].requests[0], shown)
    else:
        _say_all_submitted(done, groups, shown)
    if shown.wait:
        _wait(workspace, [one.job_id for one in done])


def _groups(kind: str | None, sources: Sequence[str], flags: Mapping[str, Any]) -> "Iterator[Group]":
    if not sources:
        yield group_of({}, flags, kind)
    for source in sources:
        for document in read_documents(source):
            if kind is not None:
                _require_kind(document, kind, source)
            yield group_of(document, flags, kind)


def _require_kind(document: Mapping[str, Any], kind: str, source: str) -> None:
    found = document.get("kind", kind)
    if found != kind:
        raise SpecError(
            f"{source} is a {found} spec, but a {kind} job was asked for", hint=f"pixmill submit -f {source}"
        )


def _print_dry_run(workspace: Workspace, groups: "Sequence[Group]", shown: Presentation, *, user: str) -> None:
    planned = plan(workspace, groups, user=user)
    new = [job for jobs in planned for job in jobs]
    if shown.as_json and len(new) == 1:
        print_item("job_spec", new[0].document)
    elif shown.as_json:
        print_list("job_spec_list", [job.document for job in new])
    else:
        few = [job for jobs in planned for job in jobs[:_SHOWN_ELEMENTS]]  # what is no array is one job
        click.echo("---\n".join(yaml_text(job.document) for job in few), nl=False)
        if len(few) < len(new):
            say(f"of the arrays the first {_SHOWN_ELEMENTS} jobs are printed; -o json prints all")
    if not shown.quiet:
        jobs = f"{plural(len(new), 'job')} with " if len(new) > 1 else ""
        tasks = plural(sum(one.tasks for one in new), "task")
        images = sum(one.images for one in new)
        of_images = f", {count(images)} images" if images else ""
        say(f"would submit {_arrays(groups)}{jobs}{tasks}{of_images}; nothing was added")


def _arrays(groups: "Sequence[Group]") -> str:
    """What is said of arrays before their jobs are counted."""
    found = [group for group in groups if group.indices is not None]
    return "" if not found else f"{'an array' if len(found) == 1 else plural(len(found), 'array')} of "


def _print_data(workspace: Workspace, done: Sequence["Submitted"], shown: Presentation) -> None:
    if shown.as_json:
        _print_json(workspace, [one.job_id for one in done])
    else:
        print_ids([one.job_id for one in done])
    if error := next((one.broker_error for one in done if one.broker_error), None):
        stored = "the job is stored and starts" if len(done) == 1 else "the jobs are stored and start"
        say(f"note: {error}; {stored} when it is back")


def _say_submitted(done: "Submitted", spec: "Spec", options: JobOptions, shown: Presentation) -> None:
    _say_one(done, spec, options)
    if not done.is_new:
        return
    _say_broker_error(done, "the job is stored, and starts")
    if not shown.wait:
        say_next(*_next_commands(done.job_id, options))


def _say_one(done: "Submitted", spec: "Spec", options: JobOptions) -> None:
    if not done.is_new:
        say(f"job {done.job_id} was submitted under key {options.key!r} already; nothing was added")
        return
    held = ", held" if options.hold else ""
    say(f"submitted job {done.job_id} ({summary(spec)}) to queue {options.queue}{held}")


def _say_array(done: Sequence["Submitted"], group: "Group", shown: Presentation) -> None:
    _say_one_array(done, group)
    if not done[0].is_new:
        return
    _say_broker_error(done[0], "the jobs are stored, and start")
    if not shown.wait:
        array_id, hold = done[0].job_id, group.requests[0][1].hold
        release = [f"let it go:     pixmill job release --array {array_id}"] if hold else []
        look = [f"look at it:    pixmill ps --array {array_id}", f"wait:          pixmill wait --array {array_id}"]
        say_next(*release, *look)


def _say_one_array(done: Sequence["Submitted"], group: "Group") -> None:
    from client.sweeps import varied

    array_id, (spec, options) = done[0].job_id, group.requests[0]
    if not done[0].is_new:
        say(f"array {array_id} was submitted under key {group.array_key!r} already; nothing was added")
        return
    held = ", held" if options.hold else ""
    limit = f", at most {group.limit} at once" if group.limit is not None else ""
    what = f"{summary(spec)}; what differs: {varied(group)}"
    say(f"submitted array {array_id} of {plural(len(done), 'job')} ({what}) to queue {options.queue}{held}{limit}")


def _say_all_submitted(done: Sequence["Submitted"], groups: "Sequence[Group]", shown: Presentation) -> None:
    place = 0
    for group in groups[:_SHOWN_JOBS]:
        of_group = done[place : place + len(group.requests)]
        place += len(group.requests)
        if group.indices is not None:
            _say_one_array(of_group, group)
        else:
            _say_one(of_group[0], *group.requests[0])
    if len(groups) > _SHOWN_JOBS:
        say(f"… and {len(done) - place} more, up to job {done[-1].job_id}")
    _say_broker_error(done[0], "the jobs are stored, and start")
    if not shown.wait:
        say_next("look at them:  pixmill ps")


def _say_broker_error(done: "Submitted", stored: str) -> None:
    if done.broker_error:
        say(f"note: {done.broker_error}")
        say(f"      {stored} once the broker is back: pixmill up")


def _next_commands(job_id: int, options: JobOptions) -> list[str]:
    release = [f"let it go:  pixmill job release {job_id}"] if options.hold else []
    return [*release, f"follow it:  pixmill logs -f {job_id}", f"wait:       pixmill wait {job_id}"]


def summary(spec: "Spec") -> str:
    """What the job does, in some words."""
    match spec:
        case TrainSpec():
            begun = f", from {spec.start_from}" if spec.start_from else ""
            return f"train {spec.model} on {spec.dataset}, {count(spec.images)} images{begun}"
        case GenerateSpec():
            return f"generate {count(spec.n)} images with {' + '.join(spec.models)}"
        case AnimateSpec():
            return f"animate {plural(spec.n, 'time')} with {spec.model}"
        case EditSpec():
            return f"edit {spec.dataset or 'images'} with {spec.model}: {spec.way}"
        case EvaluateSpec() | GateSpec():
            return _measuring(spec)
        case CompressSpec():
            return f"compress {count(spec.n)} images of {spec.dataset or 'its own data set'} with {spec.model}"
        case DecompressSpec():
            return f"decompress the files of {spec.files or f'job {spec.output}'}"
        case RestoreSpec():
            images = "the images" if spec.n is None else f"{count(spec.n)} images"
            return f"restore {images} of {spec.folder or spec.input} with {spec.model}"
        case ReportSpec() | PingSpec():
            return "ping, which does no work" if isinstance(spec, PingSpec) else f"page of pipeline run {spec.run}"


def _measuring(spec: EvaluateSpec | GateSpec) -> str:
    if isinstance(spec, EvaluateSpec):
        judge = f", judged by {spec.judge}" if spec.judge else ""
        return f"evaluate {count(spec.n)} images of job {spec.output}{judge}"
    against = f" against {spec.against}" if spec.against else ""
    return f"gate {spec.model}{against} by {count(spec.images)} images of {plural(spec.seeds, 'seed')}"


def _print_json(workspace: Workspace, job_ids: Sequence[int]) -> None:
    from client.jobs import jobs_by_id

    items = [job.to_json() for job in jobs_by_id(workspace, job_ids)]
    if len(items) == 1:
        print_item("job", items[0])
    else:
        print_list("job_list", items)


def _wait(workspace: Workspace, job_ids: Sequence[int]) -> None:
    from cli.waiting import wait_and_exit

    wait_and_exit(workspace, list(dict.fromkeys(job_ids)), timeout_seconds=None)
