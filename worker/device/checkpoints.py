"""The states of one training run on disk: those that earlier attempts left, and what this one adds."""

import logging
import time

from imagemodels.errors import CorruptCheckpoint
from imagemodels.training.run import Run
from pixmill.errors import CorruptFile
from storage.checkpoints import open_verified, save_checkpoint
from worker.assignment import StoredFile
from worker.device.desk import Desk

log = logging.getLogger("job")

KEPT = 4  # own states that are worth trying; the parent deletes older ones


class Checkpoints:
    """Saves, publishes and finds again the states of a training run."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._sound: list[StoredFile] = list(desk.assignment.checkpoints)  # newest first; none was found broken yet
        self._saved = 0
        self._saved_at = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether the last state is older than it should be."""
        return time.monotonic() - self._saved_at >= self._desk.assignment.checkpoint_seconds

    def save(self, run: Run, best_value: float | None = None) -> None:
        """Publish the state as the last one, and as the best one when its quality is given.

        Raises NonFiniteLoss when it is worthless, and DiskFull, PermissionDenied or StorageError.
        """
        # A name of its own for every state: after a way back, another state has seen as many images.
        name = f"state-{run.images_seen:09d}-{self._saved:03d}.pt"
        saved = save_checkpoint(self._desk.layout, self._desk.folder, name, run.save)
        self._saved += 1
        self._saved_at = time.monotonic()
        self._sound = [StoredFile(path=saved.path, sha256=saved.sha256, size_bytes=saved.size_bytes), *self._sound]
        del self._sound[KEPT:]
        self._desk.publish_checkpoint("last", saved, run.images_seen, None)
        if best_value is not None:
            self._desk.publish_checkpoint("best", saved, run.images_seen, best_value)
        log.info("checkpoint at %d images", run.images_seen)

    def load_newest(self, run: Run) -> StoredFile | None:
        """Fill `run` from the newest state that is as it was written; None when there is no such state.

        What cannot be used is not tried again. Without a usable state the run may be half filled.
        """
        while self._sound:
            stored = self._sound[0]
            try:
                with open_verified(self._desk.layout.resolve(stored.path), stored.sha256) as file:
                    run.load(file)
            except (CorruptFile, CorruptCheckpoint) as error:
                log.warning("checkpoint %s cannot be used: %s", stored.path, error)
                self._desk.journal.add("refused", path=stored.path, why=str(error))
                del self._sound[0]
            else:
                return stored
        return None
