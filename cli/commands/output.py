"""`pixmill output`: what jobs have made."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.context import Workspace, pass_workspace
from cli.formatting import count, plural, size
from cli.jobs import model_of
from cli.output import (
    Column,
    can_animate,
    print_fields,
    print_item,
    print_list,
    print_table,
    print_title,
    say,
    say_next,
)
from cli.outputs import line_folder, next_commands, output_facts, read_output, read_shards, shown_facts
from cli.outputs import verify as verify_files_of
from cli.params import JOB_ID, examples, output_option
from pixmill.errors import NotFound
from pixmill.states import State

if TYPE_CHECKING:
    from cli.outputs import Output
    from db.views import OutputLine
    from storage.outputs import VerifyReport
    from storage.records import ShardRecord
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
    """List what generate, animate, edit, restore, compress and decompress jobs have made; complete at their success.

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
        print_table(
            COLUMNS, [_row(workspace, line) for line in lines], empty="no images yet: pixmill submit generate --help"
        )


def _row(workspace: Workspace, line: "OutputLine") -> list[str]:
    job = line.job
    folder = line_folder(line, workspace.layout)
    return [
        str(job.id),
        job.name,
        model_of(job.spec) or "–",
        job.state.value,
        count(line.images),
        str(line.shards or "–"),
        size(line.size_bytes),
        "–" if folder is None else workspace.layout.relative(folder),
    ]


def _json(workspace: Workspace, line: "OutputLine") -> dict[str, Any]:
    job = line.job
    folder = line_folder(line, workspace.layout)
    return {
        "job_id": job.id,
        "kind": job.kind,
        "name": job.name,
        "model": model_of(job.spec),
        "state": job.state.value,
        "images": line.images,
        "images_planned": job.progress_total,
        "shards": line.shards,
        "size_bytes": line.size_bytes,
        "folder": None if folder is None else str(folder),
    }


@command.command("show", epilog=examples("pixmill output show 14", "pixmill output show 14 -o json"))
@click.argument("job_id", metavar="ID", type=JOB_ID)
@output_option("text", "json")
@pass_workspace
def show(workspace: Workspace, job_id: int, output_format: str) -> None:
    """Show what one job has made: where it lies, how much it is, what was measured, what may be done with it."""
    with workspace.database.read() as session:
        output = read_output(session, workspace.layout, job_id)
    if output_format == "json":
        print_item("output", {"job_id": job_id, "name": output.job.name, **output_facts(output)})
        return
    print_title(f"output {job_id}  {output.job.name}")
    print_fields(shown_facts(output))
    say_next(*next_commands(output))


@command.command("verify", epilog=examples("pixmill output verify 13", "pixmill output verify --all"))
@click.argument("job_id", metavar="ID", type=JOB_ID, required=False)
@click.option("--all", "everything", is_flag=True, help="Every complete output.")
@output_option("text", "json")
@click.pass_context
def verify(ctx: click.Context, job_id: int | None, everything: bool, output_format: str) -> None:
    """Prove that the files are the ones that were recorded: hashes, tables, and that every image decodes.

    Compressed files are compared with their hashes; what they decode to is compared by `submit decompress`.

    Prints one line a problem; rc 1 if there is one.
    """
    if (job_id is None) == (not everything):
        raise click.UsageError("name one job, or --all", ctx)
    workspace = ctx.ensure_object(Workspace)
    chosen = _all_jobs(workspace) if job_id is None else [job_id]
    reports = {one: _verify(workspace, one) for one in chosen}
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
    """Copy the files of a job into a folder, each checked by its hash.

    Those of a compress or decompress job with their manifest; restored images under the names of the given ones.
    """
    from storage.filesets import export as export_files

    with workspace.database.read() as session:
        output = read_output(session, workspace.layout, job_id)
        shards = read_shards(session, output)
    if output.job.kind == "restore":
        _export_restored(output, shards, target.expanduser().absolute(), output_format)
        return
    if not output.has_files:
        raise NotFound(
            f"job {job_id} is a {output.job.kind} job; only compress, decompress and restore jobs have files",
            hint=f"its data set lies in {output.folder}",
        )
    target = target.expanduser().absolute()
    with _progress(f"exporting output {job_id}") as progress:
        files = export_files(output.manifest, target, progress)
    if output_format == "json":
        facts = {"job_id": job_id, "folder": str(target), "images": len(files.images), "sha256": files.digest}
        print_item("export", {**facts, "size_bytes": files.size_bytes})
    else:
        say(f"exported {plural(len(files.images), 'file')} ({size(files.size_bytes)}) to {target}, all hashes right")


def _export_restored(output: "Output", shards: "Sequence[ShardRecord]", target: Path, output_format: str) -> None:
    from storage.restored import export_restored

    job_id = output.job.id
    with _progress(f"exporting output {job_id}") as progress:
        images, size_bytes = export_restored(output.folder, shards, target, progress)
    if output_format == "json":
        print_item("export", {"job_id": job_id, "folder": str(target), "images": images, "size_bytes": size_bytes})
    else:
        say(f"exported {plural(images, 'file')} ({size(size_bytes)}) to {target}, all hashes right")


def _all_jobs(workspace: Workspace) -> Sequence[int]:
    from db.views import list_outputs

    with workspace.database.read() as session:
        return [line.job.id for line in list_outputs(session) if line.job.state is State.SUCCEEDED]


def _verify(workspace: Workspace, job_id: int) -> "VerifyReport":
    with workspace.database.read() as session:
        output = read_output(session, workspace.layout, job_id)
        shards = read_shards(session, output)
    with _progress(f"verifying output {job_id}") as progress:
        return verify_files_of(output, shards, progress)


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
        shards = f" in {plural(found.shards, 'shard')}" if found.shards else ""
        checked = f"{plural(found.images, 'image')}{shards}"
        verdict = "intact" if found.is_intact else plural(len(found.problems), "problem")
        say(f"output {job_id}: {checked}: {verdict}")
    if not reports:
        say("no complete output to verify")


def _report_json(job_id: int, found: "VerifyReport") -> dict[str, Any]:
    return {
        "job_id": job_id,
        "images": found.images,
        "shards": found.shards,
        "intact": found.is_intact,
        "problems": list(found.problems),
    }
