"""Whole jobs under fire: train and generate jobs whose processes are killed wherever they stand."""

import random
import time
from collections.abc import Callable

import psutil
import pytest

from pixmill.specs import GenerateSpec, TrainSpec
from pixmill.states import State
from tests.faults.bytes import check_bytes, fingerprints
from tests.faults.history import read_history
from tests.faults.rough import RoughLine, seeded
from tests.worker.conftest import digits_model, small_generate, small_train

KILLS = 20
SHARDS = 50


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_jobs_that_are_killed_again_and_again_end_with_the_bytes_of_undisturbed_ones(
    own_rough: Callable[..., RoughLine],
) -> None:
    line = own_rough(scheduler__max_lost_leases=1_000_000)  # whatever dies here was killed
    specs: list[TrainSpec | GenerateSpec] = [train_spec(), generate_spec(line)]
    for spec in specs:
        line.run(spec)
    undisturbed = fingerprints(read_history(line.database))
    for spec in specs:
        job = line.submit(spec)
        kill_again_and_again(line, job, seeded(f"scenario {spec.kind}"))
        line.tend_until(lambda job=job: line.job(job).state.is_terminal)  # type: ignore[misc]
        assert line.job(job).state is State.SUCCEEDED, line.story(job)
        assert sum(task.lost_leases for task in line.tasks(job)) > KILLS // 5
    assert len(line.shards(job)) == SHARDS
    assert [*check_bytes(read_history(line.database), undisturbed)] == []


def train_spec() -> TrainSpec:
    """Some checkpoints for every kill."""
    return small_train(images=5_000 * KILLS, seed=5)


def generate_spec(line: RoughLine) -> GenerateSpec:
    """Shards that take long enough to be killed in."""
    shard_size = 100 * KILLS
    return small_generate(digits_model(line), n=SHARDS * shard_size, shard_size=shard_size)


def kill_again_and_again(line: RoughLine, job: int, rng: random.Random) -> None:
    """Kill somebody (SIGKILL), start what is dead, wait until the job has got on, and so forth."""
    for kill in range(KILLS):
        before = progress(line, job)
        line.tend_until(lambda: progress(line, job) > before or line.job(job).state.is_terminal)  # noqa: B023
        assert not line.job(job).state.is_terminal, f"it ended after {kill} kills"
        time.sleep(rng.uniform(0.0, 0.3))
        victim(line, rng).kill()


def victim(line: RoughLine, rng: random.Random) -> psutil.Process:
    """A process of the line: a scheduler, a worker, or what it has started."""
    return rng.choice([*line.with_children("scheduler"), *line.with_children("worker")])


def progress(line: RoughLine, job: int) -> int:
    """Grows with every checkpoint and shard."""
    newest = line.checkpoints(job)
    return (newest[0].id if newest else 0) + len(line.shards(job))
