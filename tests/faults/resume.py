"""I6: an attempt goes on where the last published state left off, and makes nothing that is published already."""

from collections.abc import Collection, Iterator, Sequence

from db.leases import KEPT_CHECKPOINTS
from db.tables.jobs import Attempt, Role, Task
from db.tables.published import CheckpointKind
from storage.paths import Layout
from tests.faults.history import History
from tests.faults.journal import Entry, read_journal
from tests.faults.violation import Invariant, Violation
from tests.faults.witness import Save


def check_resume(history: History, layout: Layout, damaged: Collection[str]) -> Iterator[Violation]:
    """Compare the journals of all attempts with what was published when they were claimed."""
    for task in history.tasks:
        for attempt in history.attempts_of_task[task.id]:
            entries = read_journal(layout.resolve(attempt.folder))
            yield from _check_shape(attempt, entries)
            if task.role is Role.TRAIN:
                yield from _check_start(history, task, attempt, entries, damaged)
            elif task.role is Role.GENERATE:
                yield from _check_shards(history, task, attempt, entries)


def _where(attempt: Attempt) -> str:
    return f"task {attempt.task_id}, epoch {attempt.lease_epoch}"


def _check_shape(attempt: Attempt, entries: Sequence[Entry]) -> Iterator[Violation]:
    whats = [str(entry.get("what")) for entry in entries]
    begins, ends = whats.count("begin"), whats.count("end")
    if entries and (whats[0] != "begin" or begins != 1 or ends > 1):
        yield Violation(Invariant.ONCE, f"{_where(attempt)}: its folder was used more than once: {whats}")


def _check_start(
    history: History, task: Task, attempt: Attempt, entries: Sequence[Entry], damaged: Collection[str]
) -> Iterator[Violation]:
    for entry in entries:
        if entry["what"] == "refused" and entry["path"] not in damaged:
            text = f"{_where(attempt)}: {entry['path']} was refused ({entry['why']}), and nobody had spoilt it"
            yield Violation(Invariant.FILES, text)
    kept = _kept_at_claim(history, task, attempt)
    sound = [save for save in kept if save.path not in damaged]
    for entry in entries:
        if entry["what"] == "resumed" and sound and entry["images_seen"] < sound[0].images_seen:
            begun = f"began at {entry['images_seen']} images, {sound[0].path} held {sound[0].images_seen}"
            yield Violation(Invariant.RESUME, f"{_where(attempt)}: {begun}")


def _kept_at_claim(history: History, task: Task, attempt: Attempt) -> list[Save]:
    """The states that the attempt could be resumed from, newest first: those of earlier epochs, as many as are kept."""
    earlier = [
        save
        for save in history.saves_of_task[task.id]
        if save.kind == CheckpointKind.LAST
        and save.epoch < attempt.lease_epoch
        and save.at <= attempt.started_at
        and save.checkpoint_id > task.checkpoint_floor
    ]
    return sorted(earlier, key=lambda save: save.checkpoint_id, reverse=True)[:KEPT_CHECKPOINTS]


def _check_shards(history: History, task: Task, attempt: Attempt, entries: Sequence[Entry]) -> Iterator[Violation]:
    published = {shard.number: shard for shard in history.shards_of_job[task.job_id] if shard.task_id == task.id}
    made = {entry["number"]: entry["tar_sha256"] for entry in entries if entry["what"] == "shard"}
    for number, sha256 in made.items():
        row = published.get(number)
        if row is not None and row.lease_epoch < attempt.lease_epoch:
            text = f"{_where(attempt)}: made shard {number}, which epoch {row.lease_epoch} had published"
            yield Violation(Invariant.RESUME, text)
        if row is not None and row.lease_epoch == attempt.lease_epoch and row.record["tar_sha256"] != sha256:
            yield Violation(Invariant.FILES, f"{_where(attempt)}: shard {number} was published with another hash")
    for number, row in published.items():
        if row.lease_epoch == attempt.lease_epoch and number not in made:
            yield Violation(Invariant.FILES, f"{_where(attempt)}: published shard {number}, which it never made")
