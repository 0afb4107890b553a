"""`pixmill output`: generated data sets."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.context import Workspace, pass_workspace
from cli.formatting import count, plural, size
from cli.output import Column, can_animate, print_item, print_list, print_table, say
from cli.params import JOB_ID, examples, output_option
from pixmill.errors import Conflict, NotFound
from pixmill.states import State

if TYPE_CHECKING:
    from db.views import OutputLine
    from storage.outputs import VerifyReport
    from storage.verify import Progress

COLUMNS = [
    Column(title="JOB", align="right"),
    Column(title="NAME", shrinks=True),
    Column(title="MODEL", shrinks=True, dropped=1),
    Column(title="STATE"),
    Column(title="IMAGES", align="right"),
    Column(title="SHARDS", align="right", dropped=2),
    Column(title="SIZE", align="right"),
    Column(title="FOLDER"),
]


@click.group("output", epilog=examples("pixmill output ls"))
def command() -> None:
    """What jobs have made: data sets as archives of PNG images, each beside a Parquet table; compressed images."""


@command.command("ls", epilog=examples("pixmill output ls", "pixmill output ls -o json"))
@output_option("table", "json", "ids")
@pass_workspace
def ls(workspace: Workspace, output_format: str) -> None:
    """List what generate and animate jobs have made; a data set is complete when its job has succeeded.

    FOLDER lies below the storage root (`pixmill config show`).
    """
    from db.views import list_outputs

    with workspace.database.read() as session:
        lines = list_outputs(session)
    if output_format == "json":
        print_list("output_list", [_json(workspace, line) for line in lines])
    elif output_format == "ids":
        for line in lines:
            click.echo(str(line.job.id))
    else:
        print_table(COLUMNS, [_row(line) for line in lines], empty="no images yet: pixmill submit generate --help")


def _row(line: "OutputLine") -> list[str]:
    job = line.job
    return [
        str(job.id),
        job.name,
        str(job.spec["model"]),
        job.state.value,
        count(line.images),
        str(line.shards),
        size(line.size_bytes),
        f"outputs/{job.id}" if job.state is State.SUCCEEDED else "–",
    ]


def _json(workspace: Workspace, line: "OutputLine") -> dict[str, Any]:
    from storage.paths import Layout

    job = line.job
    folder = Layout(workspace.settings.storage_root).output_folder(job.id)
    return {
        "job_id": job.id,
        "name": job.name,
        "model": job.spec["model"],
        "state": job.state.value,
        "images": line.images,
        "images_planned": job.progress_total,
        "shards": line.shards,
        "size_bytes": line.size_bytes,
        "folder": str(folder) if job.state is State.SUCCEEDED else None,
    }


@command.command("verify", epilog=examples("pixmill output verify 13", "pixmill output verify --all"))
@click.argument("job_id", metavar="ID", type=JOB_ID, required=False)
@click.option("--all", "everything", is_flag=True, help="Every complete data set.")
@output_option("text", "json")
@click.pass_context
def verify(ctx: click.Context, job_id: int | None, everything: bool, output_format: str) -> None:
    """Prove that the files are the ones that were recorded: hashes, tables, and that every image decodes.

    Prints one line a problem; rc 1 if there is one.
    """
    if (job_id is None) == (not everything):
        raise click.UsageError("name one job, or --all", ctx)
    workspace = ctx.ensure_object(Workspace)
    reports = {chosen: _verify(workspace, chosen) for chosen in _chosen_jobs(workspace, job_id)}
    if output_format == "json":
        print_item("verification", {"outputs": [_report_json(chosen, found) for chosen, found in reports.items()]})
    else:
        _print_reports(reports)
    if any(not found.is_intact for found in reports.values()):
        ctx.exit(1)


@command.command("export", epilog=examples("pixmill output export 14 --to ~/compressed"))
@click.argument("job_id", metavar="ID", type=JOB_ID)
@click.option(
    "--to",
    "target",
    required=True,
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to write; made when it is not there.",
)
@output_option("text", "json")
@pass_workspace
def export(workspace: Workspace, job_id: int, target: Path, output_format: str) -> None:
    """Copy the files of a compress or decompress job into a folder, each checked by its hash, with their manifest."""
    from storage.filesets import export as export_files

    manifest = _manifest(workspace, job_id)
    target = target.expanduser().absolute()
    with _progress(f"exporting output {job_id}") as progress:
        files = export_files(manifest, target, progress)
    if output_format == "json":
        facts = {"job_id": job_id, "folder": str(target), "images": len(files.images), "sha256": files.digest}
        print_item("export", {**facts, "size_bytes": files.size_bytes})
    else:
        say(f"exported {plural(len(files.images), 'file')} ({size(files.size_bytes)}) to {target}, all hashes right")


def _manifest(workspace: Workspace, job_id: int) -> Path:
    """Where the manifest of a job's files lies.  Raises NotFound or Conflict."""
    from db.jobs import get_job
    from db.views import job_tasks
    from storage.paths import Layout

    with workspace.database.read() as session:
        job = get_job(session, job_id)
        results = [task.result for task in job_tasks(session, job_id) if task.result]
    if job.kind not in ("compress", "decompress"):
        hint = f"the data set of a generate job lies in outputs/{job_id}" if job.kind == "generate" else "pixmill ps"
        raise NotFound(f"job {job_id} is a {job.kind} job; only compress and decompress jobs have files", hint=hint)
    _require_success(job.state, job_id, "its files are")
    return Layout(workspace.settings.storage_root).resolve(results[0]["manifest"])


def _require_success(state: State, job_id: int, what: str) -> None:
    if state is not State.SUCCEEDED:
        command = "job show" if state.is_terminal else "wait"
        raise Conflict(f"job {job_id} is {state}; {what} not complete", hint=f"pixmill {command} {job_id}")


def _chosen_jobs(workspace: Workspace, job_id: int | None) -> Sequence[int]:
    from db.jobs import get_job
    from db.views import list_outputs

    with workspace.database.read() as session:
        if job_id is None:
            return [line.job.id for line in list_outputs(session) if line.job.state is State.SUCCEEDED]
        job = get_job(session, job_id)
    if job.kind not in ("generate", "animate"):
        raise NotFound(f"job {job_id} is of kind {job.kind}: it makes no data set", hint="pixmill output ls")
    _require_success(job.state, job_id, "its data set is")
    return [job_id]


def _verify(workspace: Workspace, job_id: int) -> "VerifyReport":
    from db.views import job_shards
    from storage.outputs import verify_output
    from storage.paths import Layout
    from storage.records import ShardRecord

    with workspace.database.read() as session:
        records = [ShardRecord.from_json(shard.record) for shard in job_shards(session, job_id)]
    folder = Layout(workspace.settings.storage_root).output_folder(job_id)
    with _progress(f"verifying output {job_id}") as progress:
        return verify_output(folder, records, progress)


@contextmanager
def _progress(title: str) -> Iterator["Progress | None"]:
    if not can_animate():
        yield None
        return
    from cli.bars import CountBar

    with CountBar(title) as bar:
        yield bar.show


def _print_reports(reports: "dict[int, VerifyReport]") -> None:
    for job_id, found in reports.items():
        for problem in found.problems:
            click.echo(f"output {job_id}: {problem}")
        checked = f"{plural(found.images, 'image')} in {plural(found.shards, 'shard')}"
        verdict = "intact" if found.is_intact else plural(len(found.problems), "problem")
        say(f"output {job_id}: {checked}: {verdict}")
    if not reports:
        say("no complete data set to verify")


def _report_json(job_id: int, found: "VerifyReport") -> dict[str, Any]:
    return {
        "job_id": job_id,
        "images": found.images,
        "shards": found.shards,
        "intact": found.is_intact,
        "problems": list(found.problems),
    }
