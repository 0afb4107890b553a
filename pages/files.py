"""The files that facts name, as far as they are on this host."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pixmill.errors import PathEscape
from storage.paths import Layout
from storage.s3.bucket import located


@dataclass(frozen=True)
class Files:
    """Those below one storage root."""

    layout: Layout

    def find(self, relative: str | None) -> Path | None:
        """The file of a root-relative path; None where it is not on this host."""
        if not relative:
            return None
        try:
            path = self.layout.resolve(relative)
        except PathEscape:
            return None
        return path if path.is_file() else None

    def folders(self, relatives: Sequence[str]) -> list[Path]:
        """Folders of attempts, which need not exist.  Raises PathEscape."""
        return [self.layout.resolve(relative) for relative in relatives]

    def place(self, output: str) -> str:
        """Where a data set lies: a folder, or a URL."""
        return located(output, self.layout.root)
