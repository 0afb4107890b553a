"""I3: every row has its files, every published file has its row, and every byte is the one that was recorded."""

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from db.tables.jobs import Role, Task
from db.tables.published import Shard
from pixmill.errors import PixmillError
from pixmill.states import State
from storage.atomic import sha256_file
from storage.markers import read_marker
from storage.outputs import verify_output
from storage.paths import Layout
from storage.places import INDEX_FILE
from storage.records import ShardRecord
from tests.faults.history import History
from tests.faults.violation import Invariant, Violation


def check_files(history: History, layout: Layout, damaged: Collection[str]) -> Iterator[Violation]:
    """Re-hash everything that is published; `damaged` files were spoilt on purpose."""
    yield from _check_checkpoints(history, layout, damaged)
    yield from _check_shards(history, layout)
    yield from _check_models(history, layout)
    yield from _check_outputs(history, layout)
    yield from _check_strays(history, layout)


def check_local_files(history: History, layout: Layout) -> Iterator[Violation]:
    """The same without data sets, which may lie in a bucket."""
    yield from _check_checkpoints(history, layout, ())
    yield from _check_models(history, layout)


def _broken(text: str) -> Violation:
    return Violation(Invariant.FILES, text)


def _check_file(what: str, path: Path, sha256: str, size_bytes: int) -> Iterator[Violation]:
    if not path.is_file():
        yield _broken(f"{what}: {path} is missing")
    elif path.stat().st_size != size_bytes:
        yield _broken(f"{what}: {path} has {path.stat().st_size} bytes, recorded {size_bytes}")
    elif sha256_file(path) != sha256:
        yield _broken(f"{what}: {path} has other bytes than those recorded")


def _check_checkpoints(history: History, layout: Layout, damaged: Collection[str]) -> Iterator[Violation]:
    for row in history.checkpoints:
        if row.path not in damaged:
            what = f"checkpoint {row.id}"
            yield from _check_file(what, layout.resolve(row.path), row.sha256, row.size_bytes)


def _check_shards(history: History, layout: Layout) -> Iterator[Violation]:
    for shard in history.shards:
        folder, record = layout.resolve(shard.folder), ShardRecord.from_json(shard.record)
        what = f"shard {shard.number} of job {shard.job_id}"
        yield from _check_file(what, folder / record.tar, record.tar_sha256, record.tar_bytes)
        yield from _check_file(what, folder / record.parquet, record.parquet_sha256, record.parquet_bytes)
        try:
            if read_marker(folder, record.number).record != record:
                yield _broken(f"{what}: its marker describes other bytes than its row")
        except PixmillError as error:
            yield _broken(f"{what}: {error.message}")


def _check_models(history: History, layout: Layout) -> Iterator[Violation]:
    from imagemodels.card import read_card
    from imagemodels.errors import ModelError
    from imagemodels.identity import identity

    for version in history.versions:
        what, folder = f"model version {version.id}", layout.resolve(version.folder)
        try:
            card = read_card(folder)
            found = sha256_file(folder / "weights.safetensors")
        except (ModelError, PixmillError, OSError) as error:
            yield _broken(f"{what}: {error}")
            continue
        if card.weights_sha256 != found:
            yield _broken(f"{what}: its weights are not those of its card")
        if identity(card.architecture, dict(card.spec), found) != version.digest:
            yield _broken(f"{what}: its digest is not that of its files")


def _check_outputs(history: History, layout: Layout) -> Iterator[Violation]:
    for job in history.jobs:
        assembled = [task for task in history.tasks_of_job[job.id] if task.role is Role.ASSEMBLE]
        if job.state is State.SUCCEEDED and assembled:
            shards = history.shards_of_job[job.id]
            yield from _check_output(assembled[0], shards, layout, job.progress_total)


def _check_output(task: Task, shards: Sequence[Shard], layout: Layout, images: int) -> Iterator[Violation]:
    where = f"the data set of job {task.job_id}"
    if task.result is None:
        yield _broken(f"{where} has succeeded without a result")
        return
    for name in ("index", "contact_sheet"):
        if not layout.resolve(task.result[name]).is_file():
            yield _broken(f"{where}: its {name} is missing")
    records = [ShardRecord.from_json(shard.record) for shard in shards]
    if [record.number for record in records] != list(range(len(records))):
        yield _broken(f"{where} has the shards {[record.number for record in records]}")
    report = verify_output(layout.resolve(task.result["output"]), records)
    for problem in report.problems:
        yield _broken(f"{where}: {problem}")
    if not report.images == task.result["images"] == images:
        yield _broken(f"{where} holds {report.images} images, {images} were asked for")


def _check_strays(history: History, layout: Layout) -> Iterator[Violation]:
    """What lies in outputs/ is what some row published, also for jobs that did not come to their end."""
    for folder in sorted((layout.root / "outputs").glob("*")):
        job = history.job_by_id.get(int(folder.name)) if folder.name.isdecimal() else None
        if job is None:
            yield _broken(f"{folder} belongs to no job")
            continue
        recorded: dict[str, str] = {}
        for shard in history.shards_of_job[job.id]:
            record = ShardRecord.from_json(shard.record)
            recorded |= {record.tar: record.tar_sha256, record.parquet: record.parquet_sha256, record.marker: ""}
        for path in sorted(folder.glob("shard-*")):
            if path.name not in recorded:
                yield _broken(f"{path} belongs to no published shard")
            elif recorded[path.name] and sha256_file(path) != recorded[path.name]:
                yield _broken(f"{path} is not the published shard")
        yield from _check_index(folder / INDEX_FILE)


def _check_index(path: Path) -> Iterator[Violation]:
    if path.exists():
        try:
            json.loads(path.read_bytes())
        except ValueError:
            yield _broken(f"{path} is torn")
