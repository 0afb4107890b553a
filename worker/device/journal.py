"""What an attempt did, in the order in which it did it: for whoever has to prove that nothing was lost or doubled.

Each attempt at a train, generate, assemble or evaluate task appends to `journal.jsonl` in its own folder, one JSON
object a line. Every line has `at` (seconds since 1970) and `what`:

    begin       role, epoch, pid, device ("cpu" or "cuda")
    refused     path, why                               a stored state is not what was written; the next one is tried
    resumed     path, images_seen                       where training goes on; null and 0: from the start
    rollback    path, images_seen, rollbacks            training diverged and goes on from there; null and 0 as above
    collapse    images_seen, value, best_images_seen, best_value, goes_on
                                                        the quality was twice as bad as the best: it goes on from the
                                                        best state, or ends here
    checkpoint  kind, path, sha256, images_seen         "last" or "best"; durable, and not yet announced to the parent
    shard       number, tar_sha256                      durable, and not yet announced to the parent
    end         how, reason                             "succeeded", "stopped" or "failed"; reason: the failure's word

`begin` is the first line and `end` the last one; an attempt that was killed has no `end`. Paths are relative to the
storage root. A line is handed to the kernel in one piece before the attempt goes on, so a killed process leaves whole
lines; only a crash of the host may lose the last ones.
"""

import time
from pathlib import Path
from typing import Any

from worker.device.lines import LineFile

FILE_NAME = "journal.jsonl"


class Journal:
    """The journal of one attempt; its file is made with the first entry."""

    def __init__(self, folder: Path) -> None:
        self._lines = LineFile(folder / FILE_NAME)

    def add(self, what: str, **facts: Any) -> None:
        """Append an entry.  Raises DiskFull, PermissionDenied or StorageError."""
        self._lines.add({"at": round(time.time(), 6), "what": what, **facts})

    def close(self) -> None:
        """Close the file."""
        self._lines.close()
