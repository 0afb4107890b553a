"""Desks at which a job kind can be run in the process of a test."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from worker.assignment import Assignment, StoredFile
from worker.channel import Channel
from worker.device.attempt import Ending, run_attempt
from worker.device.desk import Desk
from worker.device.warm import WarmModels

FOLDER = "runs/1/2"


class Listener:
    """A desk, and the other end of its line."""

    def __init__(
        self, root: Path, *, epoch: int = 3, stop_when: Callable[[dict[str, Any]], bool] | None = None, **fields: Any
    ) -> None:
        """`stop_when` decides over each message whether the attempt is asked to stop; `fields` are the assignment's."""
        values: dict[str, Any] = {
            "job_id": 1,
            "task_id": 2,
            "epoch": epoch,
            "role": "train",
            "job_name": "digits",
            "spec": {},
            "params": {},
            "folder": f"{FOLDER}/{epoch}",
            "storage_root": str(root),
            "threads": 1,
            "checkpoint_seconds": 30.0,
        }
        ours, theirs = socket.socketpair()
        self.stop = threading.Event()
        self.channel, self._theirs = Channel(ours), Channel(theirs)
        self.desk = Desk(Assignment(**{**values, **fields}), self.channel, self.stop.is_set)
        self._stop_when = stop_when
        self._messages: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for message in all_messages(self._theirs):
            self._messages.append(message)
            if self._stop_when is not None and self._stop_when(message):
                self.stop.set()

    def heard(self) -> list[dict[str, Any]]:
        """All that was said; nothing can be said afterwards."""
        self.channel.shut()
        self._reader.join()
        return self._messages

    def said(self, what: str) -> list[dict[str, Any]]:
        """The messages of one sort."""
        return [message for message in self.heard() if message["say"] == what]

    def run(self, warm: WarmModels | None = None) -> Ending:
        """Run the attempt to its end."""
        return run_attempt(self.desk, warm or WarmModels("cpu", 1))

    def close(self) -> None:
        """Close both ends and the journal."""
        self.heard()
        self.desk.journal.close()
        self._theirs.close()
        self.channel.close()

    def journal(self) -> list[dict[str, Any]]:
        """The entries of the attempt's journal."""
        text = (self.desk.folder / "journal.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def log(self) -> str:
        """The attempt's log."""
        return (self.desk.folder / "log.txt").read_text(encoding="utf-8")


def all_messages(channel: Channel) -> Iterator[dict[str, Any]]:
    """What arrives until the other end is closed."""
    while (message := channel.receive()) is not None:
        yield message


def stored_file(message: dict[str, Any]) -> StoredFile:
    """The file of a checkpoint that was announced."""
    return StoredFile(path=message["path"], sha256=message["sha256"], size_bytes=message["size_bytes"])
