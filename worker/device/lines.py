"""Files of JSON lines that others read while they grow, and after their writer was killed."""

import json
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Any

from storage.atomic import write_atomic
from storage.faults import named_faults


class LineFile:
    """A file of JSON lines, made with its folder when the first line is added.

    Every line is complete once `add` returns, whatever happens to this process afterwards.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: FileIO | None = None

    def add(self, value: dict[str, Any]) -> None:
        """Append one line.  Raises DiskFull, PermissionDenied or StorageError."""
        line = json.dumps(value).encode() + b"\n"
        with named_faults(self._path):
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self._path.open("ab", buffering=0)
            while line:  # a nearly full disk takes a part of it, and refuses the rest
                line = line[self._file.write(line) :]

    def keep(self, wanted: Callable[[dict[str, Any]], bool]) -> None:
        """Leave out all lines but the wanted ones.  Raises as `add`."""
        self.close()
        if self._path.exists():
            lines = self._path.read_bytes().splitlines(keepends=True)
            write_atomic(self._path, b"".join(line for line in lines if wanted(json.loads(line))))

    def close(self) -> None:
        """Close the file; a later line opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None
