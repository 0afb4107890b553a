"""What a job has made: shards of a data set, or image files of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.jobs import model_of
from client.workspace import Workspace
from pixmill.errors import Conflict, NotFound
from pixmill.kinds import DATASET_MAKERS
from pixmill.states import State
from pixmill.times import write_time
from storage.paths import Layout

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.tables import Job
    from db.views import OutputLine
    from storage.places import Place
    from storage.records import ShardRecord
    from storage.verify import Progress, VerifyReport

FILE_KINDS = ("compress", "decompress")


@dataclass(frozen=True)
class Output:
    """The complete output of one job."""

    job: "Job"
    place: "Place"
    result: Mapping[str, Any]  # of the task that completed it

    @property
    def has_files(self) -> bool:
        """Whether it is files of their own, beside a manifest."""
        return self.job.kind in FILE_KINDS

    @property
    def folder(self) -> str:
        """Where it lies: a path, or a URL."""
        return str(self.place)

    @property
    def manifest(self) -> str:
        """Where what it consists of is written down."""
        return f"{self.folder}/{'manifest.json' if self.has_files else 'dataset.json'}"


def read_output(session: "Session", workspace: Workspace, job_id: int) -> Output:
    """The output of a job.  Raises NotFound for a job that makes none, Conflict for one that is not complete."""
    from db.jobs import get_job
    from db.outputs import removal_of
    from db.views import last_task

    job = get_job(session, job_id)
    if job.kind not in (*DATASET_MAKERS, *FILE_KINDS):
        raise NotFound(f"job {job_id} is of kind {job.kind}: it makes no output", hint="pixmill output ls")
    if job.state is not State.SUCCEEDED:
        command = "job show" if job.state.is_terminal else "wait"
        raise Conflict(f"job {job_id} is {job.state}; its output is not complete", hint=f"pixmill {command} {job_id}")
    removal = removal_of(session, job_id)
    if removal is not None:
        why = f": {removal.detail}" if removal.detail else ""
        at = f"at {write_time(removal.at)} by {removal.actor}{why}"
        raise NotFound(f"the output of job {job_id} was removed {at}", hint=f"pixmill job show {job_id} --spec")
    result = last_task(session, job_id).result or {}
    if job.kind in FILE_KINDS:
        return Output(job, workspace.layout.resolve(result["manifest"]).parent, result)
    return Output(job, _place_of(session, workspace, job_id, str(result.get("output"))), result)


def _place_of(session: "Session", workspace: Workspace, job_id: int, folder: str) -> "Place":
    """Where the data set lies that its job says to be in `folder`."""
    from db.views import job_shards
    from storage.places import BucketDataset
    from storage.records import ShardRecord
    from storage.s3.bucket import is_url

    if not is_url(folder):
        return workspace.layout.output_folder(job_id)
    shards = [(row.folder, ShardRecord.from_json(row.record)) for row in job_shards(session, job_id)]
    return BucketDataset(folder, workspace.settings.storage.endpoint, shards, workspace.scratch / str(job_id))


def read_dataset(workspace: Workspace, job_id: int) -> "tuple[Output, list[ShardRecord]]":
    """The output of a job that makes a data set, and its shards.  Raises as `read_output`, and NotFound for others."""
    with workspace.database.read() as session:
        output = read_output(session, workspace, job_id)
        if output.has_files:
            raise NotFound(f"{output.job.kind} job {job_id} has files, not rows", hint=f"look into {output.manifest}")
        return output, read_shards(session, output)


def read_shards(session: "Session", output: Output) -> list["ShardRecord"]:
    """The records of its shards; none of an output of files."""
    from db.views import job_shards
    from storage.records import ShardRecord

    return [ShardRecord.from_json(shard.record) for shard in job_shards(session, output.job.id)]


def verify(output: Output, shards: "Sequence[ShardRecord]", progress: "Progress | None") -> "VerifyReport":
    """Compare the files with what was recorded of them."""
    from storage.filesets import verify_files
    from storage.outputs import verify_output
    from storage.places import let_go

    if output.has_files:
        return verify_files(Path(output.manifest), output.result["files_sha256"], progress)
    try:
        return verify_output(output.place, shards, progress)
    finally:
        let_go(output.place)


def line_folder(line: "OutputLine", layout: Layout) -> Path | str | None:
    """Where an output lies, in a bucket a URL; None while it is not complete."""
    from storage.places import dataset_url
    from storage.s3.bucket import is_url

    if line.shard_folder is not None and is_url(line.shard_folder):
        return dataset_url(line.shard_folder) if line.job.state is State.SUCCEEDED else None
    if line.manifest is not None:
        return layout.resolve(line.manifest).parent
    return layout.output_folder(line.job.id) if line.job.state is State.SUCCEEDED else None


def output_facts(output: Output) -> dict[str, Any]:
    """What is to be known of it, in plain values; what it does not have is left out."""
    result, job = output.result, output.job
    measured = ("bits_per_pixel", "psnr", "ssim", "verified", "differing")
    names = (*measured, "animations", "class_counts", "choice", "choices", "warnings", "format", "lossy")
    facts = {
        "kind": job.kind,
        "model": result.get("model") or model_of(job.spec),
        "dataset": result.get("dataset"),
        "images": result["images"],
        "shards": result.get("shards"),
        "size_bytes": result["bytes"],
        "folder": output.folder,
        "manifest": output.manifest,
        "files_sha256": result.get("files_sha256"),
        **{name: result.get(name) for name in names},
    }
    return {name: value for name, value in facts.items() if value is not None and value not in ([], {})}
