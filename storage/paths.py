"""Where each file of an installation lies below the storage root."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pixmill.errors import PathEscape

Identity = int | str

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class Layout:
    """The folders below one storage root; paths in the database are relative to it, so that it can be moved."""

    root: Path

    @staticmethod
    def run_path(job_id: Identity, task_id: Identity, epoch: int) -> str:
        """Root-relative path of the folder that one claim of a task, and nobody else, writes into."""
        return f"runs/{_part(job_id)}/{_part(task_id)}/{_part(epoch)}"

    def run_folder(self, job_id: Identity, task_id: Identity, epoch: int) -> Path:
        """The folder of `run_path`."""
        return self.root / self.run_path(job_id, task_id, epoch)

    def output_folder(self, job_id: Identity) -> Path:
        """Folder in which the published shards of a generate job come together."""
        return self.root / "outputs" / _part(job_id)

    def run_page(self, pipeline: str, run_id: int) -> Path:
        """Page of a run of a pipeline."""
        return self.root / "reports" / "pipelines" / _part(pipeline) / f"run-{run_id}.html"

    @property
    def features(self) -> Path:
        """Features of reference images, kept between evaluations."""
        return self.root / "features"

    @property
    def datasets(self) -> Path:
        """Downloaded data sets, each in a folder of its name."""
        return self.root / "datasets"

    @property
    def packed(self) -> Path:
        """Decoded images of large data sets; made again where they are missing."""
        return self.root / "packed"

    @property
    def logs(self) -> Path:
        """Log files."""
        return self.root / "logs"

    def resolve(self, relative: str) -> Path:
        """Absolute path of a root-relative path, which need not exist.

        Raises PathEscape if it is absolute, climbs with `..`, or leaves the root through a symbolic link.
        """
        pure = PurePosixPath(relative)
        if not relative or "\0" in relative or pure.is_absolute() or ".." in pure.parts:
            raise _escape(relative, self.root)
        path = self.root.absolute() / pure
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise _escape(relative, self.root)
        return path

    def relative(self, path: Path) -> str:
        """Root-relative form of `path`, with forward slashes; the inverse of `resolve`.

        Raises PathEscape if `path` lies outside the root.
        """
        absolute, root = path.absolute(), self.root.absolute()
        inside = absolute.is_relative_to(root) and ".." not in absolute.parts
        if not inside or not absolute.resolve().is_relative_to(root.resolve()):
            raise _escape(str(path), self.root)
        return absolute.relative_to(root).as_posix()


def _part(value: Identity) -> str:
    text = str(value)
    if not _NAME.fullmatch(text):
        raise PathEscape(
            f"{text!r} cannot name a folder", hint="use letters, digits, dot, dash and underscore, 128 at most"
        )
    return text


def _escape(path: str, root: Path) -> PathEscape:
    return PathEscape(f"path {path!r} leads outside the storage root {root}", hint="name a path below the root")
