"""Processes that write the shards of a generate task: who writes a shard leaves no trace in it."""

import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from imagemodels.pixels import copy_into
from imagemodels.sampling import Generator
from pixmill.errors import StorageError
from pixmill.interpreter import python_command
from pixmill.specs import GenerateSpec
from pixmill.stages import Stage, bound_by
from storage.formats.table import FORMATS
from storage.records import CONTAINERS
from storage.shards import ImageBatch, ShardMeta, ShardRange, ShardRecord, read_marker, shard_plan, write_shard
from tests.waiting import is_alive, wait_until
from tests.worker.desks import Listener
from tests.worker.test_kinds_generate import exported, generator
from tests.worker.test_rooms import imported_by
from worker.device import dictation, generate
from worker.device.dictation import Commission, Dictation
from worker.device.made import Begun, Images, Integers
from worker.device.scribes import SLOTS_EACH, Scribes, ScribesLost
from worker.device.spending import Spending
from worker.device.warm import WarmModels

Record = dict[str, Any]
Judge = Callable[[Record], bool]

SLOT_BYTES = 512 * 64  # of the generator's images
SHAPE = (4, 4, 1)
BATCH = 32
META = ShardMeta(checkpoint_sha256="ab" * 32, precision="fp32", seed=5, class_names=("a", "b", "c"))


@pytest.fixture(scope="module")
def model() -> Generator:
    """One set of weights for all."""
    return generator()


@pytest.fixture(scope="module")
def standing() -> Iterator[WarmModels]:
    """The models of a device process with two scribes."""
    warm = WarmModels("cpu", 1, most_scribes=2)
    yield warm
    scribes_of(warm).end()


@pytest.fixture
def scribes(standing: WarmModels) -> Scribes:
    """Two scribes that are ready."""
    scribes = scribes_of(standing)
    if len(scribes.alive) < 2:
        scribes.end()
    scribes.begin(SLOT_BYTES)
    wait_until(lambda: scribes.are_ready(SLOT_BYTES) and all(scribe.is_ready for scribe in scribes.alive), timeout=60)
    return scribes


def scribes_of(warm: WarmModels) -> Scribes:
    assert warm.scribes is not None
    return warm.scribes


def processes() -> list[psutil.Process]:
    """The scribes that are children of this process."""
    return [child for child in psutil.Process().children() if "worker.device.scribe" in child.cmdline()]


def generated(
    root: Path,
    model: Generator,
    warm: WarmModels | None = None,
    stop: Judge = lambda _shard: False,
    published: Sequence[int] = (),
    **changes: Any,
) -> tuple[str, list[Record]]:
    """How a task of six shards ended, and its shards by number; `stop` decides after each whether it is to end."""
    spec = GenerateSpec(**{"model": "one@1", "n": 2_900, "shard_size": 500, "seed": 3, **changes})
    params = {"first_shard": 0, "shards": 6, "published_shards": list(published)}
    fields: dict[str, Any] = {"spec": spec.model_dump(), "params": params, "model": exported(root, model)}
    is_enough = lambda message: message["say"] == "shard" and stop(message["record"])  # noqa: E731
    with closing(Listener(root, role="generate", stop_when=is_enough, **fields)) as listener:
        answer = listener.run(warm).answer
        assert answer["say"] != "failed", answer
        records = [message["record"] for message in listener.said("shard")]
        written = [ShardRecord.from_json(record) for record in records]
        for record in written:
            assert not list(FORMATS[record.format].problems(listener.desk.folder, record))
        assert not list(listener.desk.folder.glob(".*"))
        return answer["say"], sorted(records, key=lambda record: int(record["number"]))


def test_whoever_writes_them_the_shards_are_the_same(
    tmp_path: Path, model: Generator, standing: WarmModels, scribes: Scribes
) -> None:
    alone = generated(tmp_path / "alone", model)
    helpers = processes()
    assert generated(tmp_path / "written", model, standing) == alone
    assert processes() == helpers  # for the next task
    timings = read_marker(tmp_path / "written" / "runs/1/2/3", 5).timings
    assert {"make_seconds", "slot_seconds", "starved_seconds", "encode_seconds", "write_seconds"} <= set(timings)

    again = generated(tmp_path / "again", model, standing, published=[0, 2, 3])
    assert again == (alone[0], [alone[1][number] for number in (1, 4, 5)])

    def kill(_shard: Record) -> bool:
        with suppress(psutil.NoSuchProcess):  # from the second shard on
            helpers[0].kill()
        return False

    assert generated(tmp_path / "killed", model, standing, kill) == alone
    assert not processes()  # the next task begins with sound ones


@pytest.mark.parametrize("name", sorted(set(CONTAINERS) - {"webdataset"}))
def test_in_every_format(tmp_path: Path, model: Generator, standing: WarmModels, scribes: Scribes, name: str) -> None:
    wanted: dict[str, Any] = {"format": name, "n": 260, "shard_size": 50, "truncation": 0.5}
    wanted |= {} if name == "raw" else {"encoder": "webp"}
    alone = generated(tmp_path / "alone", model, **wanted)
    assert generated(tmp_path / "written", model, standing, **wanted) == alone
    assert len(alone[1]) == 6


def test_a_task_that_is_stopped_leaves_only_whole_shards(
    tmp_path: Path, model: Generator, standing: WarmModels, scribes: Scribes
) -> None:
    say, shards = generated(tmp_path, model, standing, lambda _shard: True, n=18_000, shard_size=3_000)
    assert say == "stopped"
    assert 1 <= len(shards) < 6
    assert not processes()


def test_they_are_started_when_much_is_left(tmp_path: Path, model: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    warm = WarmModels("cpu", 1, most_scribes=1)
    generated(tmp_path / "little", model, warm)
    assert not scribes_of(warm).are_alive
    monkeypatch.setattr(generate, "WORTH_SCRIBES_SECONDS", 0.0)
    try:
        generated(tmp_path / "much", model, warm)
        assert scribes_of(warm).are_alive
    finally:
        scribes_of(warm).end()


class Device:
    """Makes images of their numbers, and remembers of how many."""

    def __init__(self) -> None:
        self.made = 0

    def pixels(self, numbers: Integers) -> Images:
        places = np.arange(np.prod(SHAPE)).reshape(1, *SHAPE)
        return (numbers.reshape(-1, 1, 1, 1) * 7 + places).astype(np.uint8)

    def labels(self, numbers: Integers) -> Integers:
        return numbers % 3

    def make_into(self, numbers: Integers, places: Sequence[Images]) -> Begun:
        self.made += len(numbers)
        copy_into(places, self.pixels(numbers))
        return Begun.into(places, self.labels(numbers))


class Job:
    """Shards for scribes, and how far they are."""

    def __init__(self, folder: Path, count: int, check: Callable[[], None] = lambda: None) -> None:
        self.device, self.written, self.spending = Device(), 0, Spending()
        self.shards = shard_plan(count, 200)
        self.commission = Commission(
            folder=folder,
            shape=SHAPE,
            seed=META.seed,
            encoder=None,
            format_name="webdataset",
            batch_images=BATCH,
            meta=lambda _shard: META,
            make_into=self.device.make_into,
            check=check,
            advance=self._advance,
            waited=self.spending.waited,
        )

    def _advance(self, count: int) -> None:
        self.written += count

    def dictate(self, scribes: Scribes) -> list[ShardRecord]:
        records = Dictation(scribes, self.commission, self.shards).records()
        return sorted(records, key=lambda record: record.number)

    def alone(self, folder: Path) -> list[ShardRecord]:
        """The same shards, written without help."""
        return [self._written(folder, shard) for shard in self.shards]

    def _written(self, folder: Path, shard: ShardRange) -> ShardRecord:
        numbers = np.arange(shard.first_index, shard.first_index + shard.count)
        pixels, labels = self.device.pixels(numbers), self.device.labels(numbers)
        batch = ImageBatch(shard.first_index, pixels, np.full(len(numbers), META.seed), labels)
        return write_shard(folder, shard.number, [batch], META)


@pytest.mark.parametrize("slot_images", [BATCH, 5])
def test_a_device_that_is_faster_waits(
    tmp_path: Path, scribes: Scribes, monkeypatch: pytest.MonkeyPatch, slot_images: int
) -> None:
    monkeypatch.setattr(dictation, "SLOT_BYTES", slot_images * np.prod(SHAPE))  # smaller: for parts of a batch
    stopped = processes()
    looks: list[int] = []

    def look() -> None:
        looks.append(job.device.made)
        if looks[-5:] == [job.device.made] * 5:  # it has waited for as many times
            for process in stopped:
                process.resume()

    job = Job(tmp_path / "written", 1_500, check=look)
    for process in stopped:
        process.suspend()
    memory = psutil.Process().memory_info().shared
    records = job.dictate(scribes)
    room = SLOTS_EACH * len(stopped) * slot_images
    assert looks.count(room) >= 5
    assert max(looks[: looks.index(room) + 5]) == room  # as long as nobody took anything
    assert psutil.Process().memory_info().shared - memory < scribes.ring.slots * scribes.ring.slot_bytes + 2**22
    assert records == job.alone(tmp_path / "alone")
    assert (job.written, job.device.made) == (1_500, 1_500)
    spent = job.spending.seconds
    assert bound_by(spent) in {Stage.ENCODE, Stage.DISK}, spent  # whoever waits for scribes does not wait for a device


def test_one_that_dies_leaves_its_shard_to_another_one(tmp_path: Path, scribes: Scribes) -> None:
    victim = processes()[0]

    def kill() -> None:
        if job.written > 300:
            with suppress(psutil.NoSuchProcess):
                victim.kill()

    job = Job(tmp_path / "written", 1_500, check=kill)
    assert job.dictate(scribes) == job.alone(tmp_path / "alone")
    assert job.written == 1_500 < job.device.made  # what was lost is made again
    assert not list((tmp_path / "written").glob(".*"))
    assert not scribes.are_alive


def test_when_all_have_died_the_task_may_be_tried_again(tmp_path: Path, scribes: Scribes) -> None:
    for process in processes():
        process.kill()
    with pytest.raises(ScribesLost, match="all processes that write shards have died"):
        Job(tmp_path, 1_500).dictate(scribes)
    assert not scribes.are_alive


def test_what_one_cannot_write_is_the_failure_of_the_task(tmp_path: Path, scribes: Scribes) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write"):
        Job(tmp_path / "file", 1_500).dictate(scribes)
    assert not processes()


def test_they_die_with_their_device_process() -> None:
    code = "from worker.device.scribes import Scribes; s = Scribes(2); s.begin(999); print(1, flush=True); input()"
    with subprocess.Popen(python_command("-c", code), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        scribes = psutil.Process(process.pid).children()
        assert len(scribes) == 2
        process.send_signal(signal.SIGKILL)
        wait_until(lambda: not any(map(is_alive, scribes)))


def test_they_need_no_torch() -> None:
    assert not {"torch", "sqlalchemy", "celery", "redis"} & imported_by("worker.device.scribe", "pyarrow.parquet")
