"""`pixmill output rm`: remove the images that a job has made."""

from typing import TYPE_CHECKING, Any

import click

from cli.context import Workspace, pass_workspace, user_name
from cli.output import print_item, say
from cli.params import JOB_ID, examples, output_option
from cli.removing import Removal, agreed, removal_options
from client.wording import files_text
from pixmill.errors import NotFound
from pixmill.kinds import DATASET_MAKERS

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from storage.garbage.verdicts import Scrap
    from storage.garbage.weighing import Usage
    from storage.s3.garbage import OutputsBucket


@click.command("rm", epilog=examples("pixmill output rm 13", "pixmill output rm 13 --reason 'wrong seed' -y"))
@click.argument("job_id", metavar="ID", type=JOB_ID)
@removal_options
@output_option("text", "json")
@pass_workspace
def command(workspace: Workspace, /, job_id: int, output_format: str, **flags: Any) -> None:
    """Remove a data set, or compressed images, once the job's ID is typed; the job, its log and its report stay.

    Refused while the job goes on, while another job needs the images, and as long as a data set is registered from
    them (rc 4).
    """
    from db.outputs import forget_output
    from storage.garbage.weighing import Usage
    from storage.removing import remove_output

    scraps, buckets = _scraps(workspace, job_id), _buckets(workspace, job_id)
    usage = Usage.total([*(scrap.usage for scrap in scraps), *(bucket.job_usage(job_id) for bucket in buckets)])
    if not usage.files:
        raise NotFound(f"job {job_id} has no output that could be removed", hint="pixmill output ls")
    removal, folder, actor = Removal(**flags), str(workspace.layout.output_folder(job_id)), user_name()

    def act(session: "Session") -> None:
        forget_output(session, job_id, folder, actor=actor, why=removal.reason)

    removed = usage
    if agreed(workspace, removal, f"remove output {job_id}, {_amount(usage)}", str(job_id), act):
        # The rows first: files without a row are garbage, a row without files is a fault.
        workspace.database.transact(act)
        removed = remove_output(workspace.layout, scraps)
        for bucket in buckets:
            removed += bucket.remove_job(job_id)
    if output_format == "json":
        facts = {"files": removed.files, "bytes": removed.size_bytes, "dry_run": removal.dry_run}
        print_item("output_removal", {"job_id": job_id, **facts})
    elif not removal.dry_run:
        say(f"removed output {job_id}: {_amount(removed)}; the job stays: pixmill job show {job_id}")


def _scraps(workspace: Workspace, job_id: int) -> "list[Scrap]":
    from db.finding import get_job
    from db.views import job_shards, job_tasks
    from storage.records import ShardRecord
    from storage.removing import file_scraps, output_scraps
    from storage.s3.bucket import is_url

    with workspace.database.read() as session:
        job = get_job(session, job_id)
        if job.kind in DATASET_MAKERS:
            rows = [(row.folder, ShardRecord.from_json(row.record)) for row in job_shards(session, job_id)]
            return output_scraps(workspace.layout, job_id, [row for row in rows if not is_url(row[0])])
        results = [task.result or {} for task in job_tasks(session, job_id)]
    manifests = [workspace.layout.resolve(result["manifest"]) for result in results if "manifest" in result]
    return [scrap for manifest in manifests for scrap in file_scraps(workspace.layout, manifest)]


def _buckets(workspace: Workspace, job_id: int) -> "list[OutputsBucket]":
    """Those in which shards of the job lie; one at most, unless the settings were changed while it ran."""
    from db.views import job_shards
    from storage.places import outputs_url
    from storage.s3.bucket import is_url
    from storage.s3.garbage import OutputsBucket

    with workspace.database.read() as session:
        urls = {outputs_url(row.folder) for row in job_shards(session, job_id) if is_url(row.folder)}
    return [OutputsBucket(url, workspace.settings.storage.endpoint) for url in sorted(urls)]


def _amount(usage: "Usage") -> str:
    return f"{files_text(usage.files, usage.size_bytes)}, links counted like files"
