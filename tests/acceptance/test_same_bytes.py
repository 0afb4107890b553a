"""An image is a function of model, seed and number: whatever happens to the job, the shards have the same bytes."""

from dataclasses import dataclass

import pytest

from pixmill.specs import GenerateSpec, TrainSpec
from pixmill.states import State
from storage.outputs import verify_output
from storage.records import ShardRecord
from tests.worker.line import Line

IMAGES = 3_000


@dataclass(frozen=True)
class Shards:
    """The hashes of one output, by shard."""

    archives: tuple[str, ...]
    tables: tuple[str, ...]


@pytest.fixture(scope="module")
def spec(promised_line: Line) -> GenerateSpec:
    """A job of twenty shards, from a model that was trained a little."""
    promised_line.start()
    train = TrainSpec(model="vae", dataset="digits", image_size=16, conditional=True, images=640, options={"width": 8})
    promised_line.run(train, name="source")
    return GenerateSpec(model="source", n=IMAGES, shard_size=150, seed=1)


@pytest.fixture(scope="module")
def undisturbed(promised_line: Line, spec: GenerateSpec) -> Shards:
    """The output of a job that nobody disturbs."""
    return shards_of(promised_line, promised_line.run(spec))


def test_the_same_request_gives_the_same_bytes(line: Line, spec: GenerateSpec, undisturbed: Shards) -> None:
    assert shards_of(line, line.run(spec)) == undisturbed


def test_another_seed_gives_other_bytes(line: Line, spec: GenerateSpec, undisturbed: Shards) -> None:
    other = shards_of(line, line.run(spec.model_copy(update={"seed": 2})))
    assert not set(other.archives) & set(undisturbed.archives)


def test_a_killed_job_gives_the_same_bytes(line: Line, spec: GenerateSpec, undisturbed: Shards) -> None:
    job = line.submit(spec)
    line.wait_for(lambda: len(line.shards(job)) >= 2, job)
    line.device_process.kill()
    assert line.wait(job) is State.SUCCEEDED, line.story(job)
    (lost,) = [task for task in line.tasks(job) if task.lost_leases]
    assert lost.lost_leases == 1
    epochs = [shard.lease_epoch for shard in line.shards(job) if shard.task_id == lost.id]
    assert epochs == sorted(epochs)  # what the first attempt published was not made again
    assert epochs[-1] == 2
    assert shards_of(line, job) == undisturbed


@pytest.mark.long
def test_a_job_whose_worker_is_stopped_gives_the_same_bytes(
    line: Line, spec: GenerateSpec, undisturbed: Shards
) -> None:
    job = line.submit(spec)
    line.wait_for(lambda: len(line.shards(job)) >= 2, job)
    assert line.terminate_worker() == 0
    line.start()
    assert line.wait(job) is State.SUCCEEDED, line.story(job)
    assert sum(task.preemptions for task in line.tasks(job)) == 1
    assert shards_of(line, job) == undisturbed


def shards_of(line: Line, job_id: int) -> Shards:
    """The output's hashes, after it was found complete: no gap, no duplicate, every byte as recorded."""
    records = [ShardRecord.from_json(shard.record) for shard in line.shards(job_id)]
    result = line.tasks(job_id)[-1].result
    assert result is not None
    report = verify_output(line.path(result["output"]), records)
    assert report.problems == ()
    assert (report.images, result["images"]) == (IMAGES, IMAGES)
    return Shards(
        tuple(record.tar_sha256 for record in records),
        tuple(record.parquet_sha256 for record in records),
    )
