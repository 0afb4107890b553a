"""What a job has made: shards of a data set, or image files of their own."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
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
    import pyarrow as pa
    from PIL.Image import Image
    from sqlalchemy.orm import Session

    from client.regenerating import Regenerated
    from db.views import OutputLine
    from storage.places import Place
    from storage.records import ShardRecord
    from storage.verify import Progress, VerifyReport

FILE_KINDS = ("compress", "decompress")


@dataclass(frozen=True, kw_only=True)
class Output:
    """The complete output of one job, below the storage root or in a bucket.

    Whatever reads images or rows of it holds one shard at a time, but for `manifest`. It raises CorruptFile for files
    that are not the ones recorded, and NotFound for an output of files, which has no rows.
    """

    job_id: int
    kind: str  # of the job
    name: str
    spec: Mapping[str, Any]
    result: Mapping[str, Any]  # of the task that completed it
    place: "Place" = field(repr=False)
    workspace: Workspace = field(repr=False, compare=False)

    @property
    def has_files(self) -> bool:
        """Whether it is files of their own, beside a manifest."""
        return self.kind in FILE_KINDS

    @property
    def url(self) -> str:
        """Where it lies: a path, or the URL of a bucket's."""
        return str(self.place)

    @property
    def path(self) -> Path | None:
        """Its folder on this host; None in a bucket."""
        return self.place if isinstance(self.place, Path) else None

    @property
    def manifest_file(self) -> str:
        """Where what it consists of is written down."""
        return f"{self.url}/{'manifest.json' if self.has_files else 'dataset.json'}"

    @property
    def images_count(self) -> int:
        """How many images it has."""
        return int(self.result["images"])

    @cached_property
    def shards(self) -> "tuple[ShardRecord, ...]":
        """The records of its shards, by number; none of an output of files."""
        from db.views import job_shards
        from storage.records import ShardRecord

        with self.workspace.database.read() as session:
            return tuple(ShardRecord.from_json(row.record) for row in job_shards(session, self.job_id))

    def require_dataset(self) -> "Output":
        """The same, if it is a data set.  Raises NotFound."""
        if self.has_files:
            raise NotFound(f"{self.kind} job {self.job_id} has files, not rows", hint=f"look into {self.manifest_file}")
        return self

    def batches(self) -> "Iterator[pa.RecordBatch]":
        """The table of its images, batch by batch.

        Columns: index, key, seed, label (a number), sha256, offset, size, width, height; more of edits and choices.
        """
        from client.images import shard_tables

        with self.opened() as place:
            for table in shard_tables(place, self.shards):
                yield from table.to_batches()

    def manifest(self) -> "pa.Table":
        """The table of all its images, one row each; some hundred bytes of memory a row."""
        import pyarrow as pa

        return pa.Table.from_batches(list(self.batches()))

    def rows(self, *conditions: str) -> Iterator[dict[str, Any]]:
        """The rows that fulfil all conditions, such as "class == cat" or "size > 900".  Raises UserError."""
        from storage.querying import find_rows, parse_condition

        asked = [parse_condition(text) for text in conditions]
        with self.opened() as place:
            yield from find_rows(place, self.shards, asked)

    def find(self, hashes: Collection[str]) -> Iterator[dict[str, Any]]:
        """The rows of the images whose files have one of these sha256, as 64 hexadecimal digits."""
        from storage.querying import find_hashes

        with self.opened() as place:
            yield from find_hashes(place, self.shards, [bytes.fromhex(one) for one in hashes])

    def images(self, indices: Iterable[int] | None = None) -> "Iterator[tuple[int, str | None, Image]]":
        """Its images, or those of these numbers, in the order of their numbers: (index, class, image of L or RGB).

        Each is compared with its hash. The class is None where the model has none. Raises NotFound for a number that
        no image has.
        """
        from client.images import stored_images

        with self.opened() as place:
            yield from stored_images(place, self.shards, indices)

    def verify(self, progress: "Progress | None" = None) -> "VerifyReport":
        """Compare all files with what was recorded of them; `progress` is told images done, and images in all."""
        from storage.filesets import verify_files
        from storage.outputs import verify_output

        if self.has_files:
            return verify_files(Path(self.manifest_file), self.result["files_sha256"], progress)
        with self.opened() as place:
            return verify_output(place, self.shards, progress)

    def regenerate(self, index: int, device: str = "cpu") -> "Regenerated":
        """Make one image once more, in a process on a device of this host, `cpu` or `cuda:0`, and compare it.

        Raises NotFound for a number that no image has, UserError where it cannot be done, Unavailable.
        """
        from client.regenerating import made_again

        return made_again(self, [index], device)[0]

    @contextmanager
    def opened(self) -> "Iterator[Place]":
        """Where to read, for as long as the block lasts; several may read at once.  Raises NotFound."""
        from tempfile import TemporaryDirectory

        self.require_dataset()
        if isinstance(self.place, Path):
            yield self.place
            return
        with TemporaryDirectory(dir=self.workspace.scratch) as scratch:
            fetched = Path(scratch) / "fetched"
            yield self.workspace.database.consult(
                lambda session: place_of(session, self.workspace, self.job_id, self.url, fetched)
            )


def read_output(session: "Session", workspace: Workspace, job_id: int) -> Output:
    """The output of a job.  Raises NotFound for a job that makes none, Conflict for one that is not complete."""
    from db.finding import get_job
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
        place: Place = workspace.layout.resolve(result["manifest"]).parent
    else:
        place = place_of(session, workspace, job_id, str(result.get("output")), workspace.scratch / str(job_id))
    return Output(
        job_id=job_id,
        kind=job.kind,
        name=job.name,
        spec=job.spec,
        result=result,
        place=place,
        workspace=workspace,
    )


def place_of(session: "Session", workspace: Workspace, job_id: int, folder: str, scratch: Path) -> "Place":
    """Where the data set lies that its job says to be in `folder`; what is fetched of a bucket's lies in `scratch`."""
    from db.views import job_shards
    from storage.places import BucketDataset
    from storage.records import ShardRecord
    from storage.s3.bucket import is_url

    if not is_url(folder):
        return workspace.layout.output_folder(job_id)
    shards = [(row.folder, ShardRecord.from_json(row.record)) for row in job_shards(session, job_id)]
    return BucketDataset(folder, workspace.settings.storage.endpoint, shards, scratch)


def find_output(workspace: Workspace, job_id: int) -> Output:
    """The output of a job.  Raises as `read_output`, and DatabaseUnreachable."""
    return workspace.database.consult(lambda session: read_output(session, workspace, job_id))


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
    result = output.result
    measured = ("bits_per_pixel", "psnr", "ssim", "verified", "differing")
    names = (*measured, "animations", "class_counts", "choice", "choices", "warnings", "format", "lossy")
    facts = {
        "kind": output.kind,
        "model": result.get("model") or model_of(output.spec),
        "dataset": result.get("dataset"),
        "images": result["images"],
        "shards": result.get("shards"),
        "size_bytes": result["bytes"],
        "folder": output.url,
        "manifest": output.manifest_file,
        "files_sha256": result.get("files_sha256"),
        **{name: result.get(name) for name in names},
    }
    return {name: value for name, value in facts.items() if value is not None and value not in ([], {})}
