"""What bounds a generate task: the device, the processes that write shards, or the storage; and how near it comes.

    python -m benchmarks.pipeline [--device cuda] [--encoders N] [--seconds 10] [--cases N] [--folder DIR] [--json FILE]

Four rates in turns, in images a second. `device`: batches into the shared ring, and nobody takes them (also of other
sizes of batches, with --batch-sizes). `encoders`: images that lie in the ring are encoded, hashed and written into
memory (/dev/shm), by one process and by all. `storage`: files of the size of those shards, written and flushed to
DIR by as many threads. `whole`: `run_generate`, its processes warm, into DIR; `/least` is its ratio to the least of the
other three. The parent and the database have no part; `benchmarks.e2e` has them.
"""

import argparse
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.forward import CASES, ROUNDS, Case, write_generator
from benchmarks.machine import store
from imagemodels.card import read_card
from imagemodels.sampling import Generator
from pixmill.specs import GenerateSpec
from storage.shards import ShardMeta, shard_plan
from worker.assignment import Assignment, ModelInput
from worker.device.desk import Desk
from worker.device.dictation import Commission, Dictation
from worker.device.generate import run_generate
from worker.device.made import Begun, Images, Integers
from worker.device.makers import BATCH_IMAGES
from worker.device.scribes import Scribes
from worker.device.warm import WarmModels

MEMORY = Path("/dev/shm")
SHARDS_EACH = 4  # of each process: at the end of a task some of them wait
WRITTEN_AT_ONCE = 1024 * 1024  # bytes


@dataclass(frozen=True)
class Stages:
    """Images a second, medians of the rounds."""

    case: str
    device: float
    one_encoder: float
    encoders: float
    storage: float
    whole: float
    of_least: float
    encoder_processes: int
    bytes_each: int  # of an image in its shard
    other_batch_sizes: dict[int, int]  # the device alone


class Bench:
    """A case, and all that is needed to run it."""

    def __init__(self, case: Case, arguments: argparse.Namespace, folder: Path) -> None:
        self.case, self.seconds, self.folder = case, arguments.seconds, folder
        self.model = write_generator(case, folder)
        self.warm = WarmModels(arguments.device, arguments.encoders + 1, most_scribes=arguments.encoders)
        self.warm.prepare(case.side, is_shared_out=True)
        self.runtime = self.warm.runtime(case.precision)
        loaded = self.warm.get(self.model, read_card(self.model).digest, case.precision)
        assert isinstance(loaded, Generator)
        self.generator = loaded
        self.shape = (case.side, case.side, case.channels)
        self.begin(arguments.encoders)
        self.one = Scribes(1)
        self.pixels = self.generator.sample(0, np.arange(BATCH_IMAGES))

    @property
    def scribes(self) -> Scribes:
        """All that write shards."""
        assert self.warm.scribes is not None
        return self.warm.scribes

    def begin(self, count: int) -> None:
        """Start all processes that write shards, and wait for them."""
        _ready(self.scribes, self._commission(self.folder).slot_bytes, count)

    def device_rate(self, generator: Generator | None = None) -> float:
        """Batches into one slot after the other."""
        generator = generator or self.generator
        ring, made, waits = self.scribes.ring, 0, list[Callable[[], None]]()
        count = self._commission(self.folder).slot_images
        numbers = np.arange(count)
        generator.sample_into([ring.images(0, (count, *self.shape))], 0, numbers)()
        began = time.monotonic()
        while time.monotonic() - began < self.seconds:
            slot = (made // count) % ring.slots
            waits.append(generator.sample_into([ring.images(slot, (count, *self.shape))], 0, numbers + made))
            made += count
            if len(waits) > 1:
                waits.pop(0)()
        for wait in waits:
            wait()
        return made / (time.monotonic() - began)

    def encoder_rate(self, scribes: Scribes, processes: int) -> float:
        """Images that lie in the ring already, into memory."""
        commission = self._commission(self.folder)
        _ready(scribes, commission.slot_bytes, processes)
        ring = scribes.ring
        ring.memory[:] = np.resize(self.pixels.reshape(-1), ring.memory.shape)
        with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else self.folder) as name:
            return self._dictated(scribes, self._commission(Path(name)), processes)

    def _dictated(self, scribes: Scribes, commission: Commission, processes: int) -> float:
        """Shards until the time is over; their number is found by a first, short round."""
        count, rate = BATCH_IMAGES * processes * SHARDS_EACH, 0.0
        for _ in range(2):
            began = time.monotonic()
            shards = shard_plan(count, _shard_size(count, processes))
            for _record in Dictation(scribes, commission, shards).records():
                continue
            rate = count / (time.monotonic() - began)
            count = max(count, int(rate * self.seconds))
        return rate

    def storage_rate(self, bytes_each: int) -> float:
        """Files of about 100 MB, by as many threads as there are processes."""
        content = np.random.default_rng(0).bytes(WRITTEN_AT_ONCE)
        until = time.monotonic() + self.seconds

        def write(number: int) -> int:
            size = 0
            while time.monotonic() < until:
                with (self.folder / f"storage-{number}").open("wb", buffering=0) as file:
                    for _ in range(100):
                        size += file.write(content)
                    os.fsync(file.fileno())
            return size

        began, threads = time.monotonic(), len(self.scribes.alive)
        with ThreadPoolExecutor(threads) as pool:
            size = sum(pool.map(write, range(threads)))
        return size / bytes_each / (time.monotonic() - began)

    def whole_rate(self, images: int) -> tuple[float, int]:
        """A generate task of so many images; and the bytes of an image in its shard."""
        processes = len(self.scribes.alive)
        spec = GenerateSpec(
            model="bench@1",
            n=images,
            shard_size=_shard_size(images, processes),
            precision=self.case.precision,
            seed=1,
        )
        desk = Desk(self._assignment(spec), None, lambda: False)
        began = time.monotonic()
        run_generate(desk, self.warm)
        seconds = time.monotonic() - began
        desk.journal.close()
        size = sum(file.stat().st_size for file in desk.folder.glob("shard-*.tar"))
        shutil.rmtree(desk.folder)
        return images / seconds, size // images

    def _assignment(self, spec: GenerateSpec) -> Assignment:
        case, card = self.case, read_card(self.model)
        model = ModelInput(
            reference="bench@1",
            folder=self.model.name,
            digest=card.digest,
            image_size=case.side,
            channels=case.channels,
            classes=(),
            dataset="none",
            dataset_fingerprint="",
        )
        return Assignment(
            job_id=1, task_id=1, epoch=1, role="generate", job_name="bench", spec=spec.model_dump(), params={},
            folder="attempt", storage_root=str(self.folder), threads=1, checkpoint_seconds=30.0, model=model,
        )  # fmt: skip

    def _commission(self, folder: Path) -> Commission:
        meta = ShardMeta(checkpoint_sha256=self.generator.digest, precision=self.case.precision, seed=0)
        return Commission(
            folder=folder,
            shape=self.shape,
            seed=0,
            encoder=None,
            format_name="webdataset",
            batch_images=BATCH_IMAGES,
            meta=lambda _shard: meta,
            make_into=_made_already,
            check=lambda: None,
            advance=lambda _count: None,
            waited=lambda _seconds, _shares: None,
        )


def _made_already(_numbers: Integers, places: Sequence[Images]) -> Begun:
    return Begun.into(places, None)


def _ready(scribes: Scribes, slot_bytes: int, count: int) -> None:
    scribes.begin(slot_bytes)
    while not (scribes.are_ready(slot_bytes) and all(scribe.is_ready for scribe in scribes.alive)):
        time.sleep(0.05)
    assert len(scribes.alive) == count, f"the memory is too short for {count} processes"


def _shard_size(images: int, processes: int) -> int:
    return min(10_000, max(100, images // (processes * SHARDS_EACH)))


@contextmanager
def _bench(case: Case, arguments: argparse.Namespace) -> Iterator[Bench]:
    with TemporaryDirectory(dir=arguments.folder) as name:
        bench = Bench(case, arguments, Path(name))
        try:
            yield bench
        finally:
            bench.one.end()
            bench.scribes.end()


def measure(case: Case, arguments: argparse.Namespace) -> Stages:
    """All stages of a case, in turns."""
    with _bench(case, arguments) as bench:
        _, bytes_each = bench.whole_rate(4 * BATCH_IMAGES * arguments.encoders)
        rounds = []
        for _ in range(ROUNDS):
            device, one = bench.device_rate(), bench.encoder_rate(bench.one, 1)
            every, storage = bench.encoder_rate(bench.scribes, arguments.encoders), bench.storage_rate(bytes_each)
            least = min(device, every, storage)
            whole, _ = bench.whole_rate(max(BATCH_IMAGES, int(least * arguments.seconds)))
            rounds.append((device, one, every, storage, whole, whole / least))
        *rates, ratio = [median(values) for values in zip(*rounds, strict=True)]
        device, one, every, storage, whole = map(round, rates)
        others = {size: round(bench.device_rate(_with_batches(bench, size))) for size in arguments.batch_sizes}
        return Stages(
            str(case), device, one, every, storage, whole, round(ratio, 3), arguments.encoders, bytes_each, others
        )


def _with_batches(bench: Bench, size: int) -> Generator:
    return Generator(bench.generator.network, bench.runtime, size)


def main() -> None:
    """Print one line a case, and write the JSON."""
    cores = len(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(prog="benchmarks.pipeline", description="what bounds a generate task")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--encoders", type=int, default=min(16, max(1, cores - 1)), help="processes")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each stage in each round")
    parser.add_argument("--cases", type=int, default=len(CASES), help="of the list, the first ones")
    parser.add_argument("--batch-sizes", type=int, nargs="*", default=(), help="the device alone with these, too")
    parser.add_argument("--folder", type=Path, help="where shards are written (default: a temporary folder)")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = []
    print(f"{'':20}{'device':>10}{'1 encoder':>11}{'encoders':>10}{'storage':>10}{'whole':>10}{'/least':>8}")
    for case in CASES[: arguments.cases]:
        found.append(measure(case, arguments))
        last = found[-1]
        print(
            f"{last.case:20}{last.device:>10,}{last.one_encoder:>11,}{last.encoders:>10,}{last.storage:>10,}"
            f"{last.whole:>10,}{last.of_least:>8}",
            flush=True,
        )
        for size, rate in last.other_batch_sizes.items():
            print(f"{f'  batches of {size}':20}{rate:>10,}")
    store(arguments, ("device", "encoders", "seconds", "batch_sizes"), [asdict(stages) for stages in found])


if __name__ == "__main__":
    main()
