"""Which data set an image comes from: its file's hash is looked for in the tables of all of them."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from client.jobs import model_of
from client.workspace import Workspace
from pixmill.errors import Conflict, CorruptFile, PixmillError, StorageError

if TYPE_CHECKING:
    from client.outputs import Output


@dataclass(frozen=True)
class Found:
    """An image of a data set."""

    output: "Output"
    row: dict[str, Any]  # of its table

    @property
    def model(self) -> str | None:
        """What made it: its version, or as its job names it."""
        return self.output.result.get("model") or model_of(self.output.spec)


@dataclass
class Search:
    """Looks through the data sets of complete jobs, the newest first; `errors` gathers those that cannot be read."""

    workspace: Workspace
    hashes: Collection[str]  # sha256 of files, as 64 hexadecimal digits
    errors: list[PixmillError] = field(default_factory=list)
    unfinished: list[int] = field(default_factory=list)  # jobs that have shards, and are not complete

    def __iter__(self) -> Iterator[Found]:
        for job_id in self._job_ids():
            try:
                yield from self._look_into(job_id)
            except Conflict:
                self.unfinished.append(job_id)
            except (CorruptFile, StorageError) as error:
                self.errors.append(error)

    def _job_ids(self) -> list[int]:
        from db.views import list_outputs

        with self.workspace.database.read() as session:
            return [line.job.id for line in list_outputs(session) if line.shards][::-1]

    def _look_into(self, job_id: int) -> Iterator[Found]:
        from client.outputs import find_output

        output = find_output(self.workspace, job_id)
        for row in output.find(self.hashes):
            yield Found(output, row)
