"""Whole jobs under fire: a train and a generate job whose processes are killed twenty times, wherever they stand."""

import random
import time
from collections.abc import Callable

import psutil
import pytest

from pixmill.specs import GenerateSpec, TrainSpec
from pixmill.states import State
from tests.faults.bytes import check_bytes, fingerprints
from tests.faults.history import read_history
from tests.faults.rough import SLOW, RoughLine, seeded
from tests.worker.conftest import digits_model, small_generate, small_train

KILLS = 100 if SLOW else 20
SHARDS = 50


@pytest.mark.timeout(900)
def test_jobs_that_are_killed_twenty_times_end_with_the_bytes_of_undisturbed_ones(
    own_rough: Callable[..., RoughLine],
) -> None:
    line = own_rough(scheduler__max_lost_leases=1_000_000)  # whatever dies here was killed
    train, generate = specs(line)
    for spec in (train, generate):
        line.run(spec)
    undisturbed = fingerprints(read_history(line.database))
    jobs = [line.submit(train), line.submit(generate)]
    kills = kill_again_and_again(line, jobs, seeded("scenario"))
    line.tend_until(lambda: are_over(line, jobs))
    assert [line.job(job).state for job in jobs] == [State.SUCCEEDED] * 2, line.story(jobs[0])
    assert kills == KILLS
    assert [*check_bytes(read_history(line.database), undisturbed)] == []
    assert len(line.shards(jobs[1])) == SHARDS
    assert sum(task.lost_leases for job in jobs for task in line.tasks(job)) > KILLS // 5


def specs(line: RoughLine) -> tuple[TrainSpec, GenerateSpec]:
    """A generator to train, and images to make with another one."""
    train = small_train(images=500 * KILLS, seed=5)
    return train, small_generate(digits_model(line), n=SHARDS * 5 * KILLS, shard_size=5 * KILLS)


def kill_again_and_again(line: RoughLine, jobs: list[int], rng: random.Random) -> int:
    """Kill somebody (SIGKILL), start what is dead, wait until a job has got on, and so forth; gives how many kills."""
    for kill in range(KILLS):
        before = progress(line, jobs)
        line.tend_until(lambda: progress(line, jobs) > before or are_over(line, jobs))  # noqa: B023
        if are_over(line, jobs):
            return kill
        time.sleep(rng.uniform(0.0, 0.3))
        victim(line, rng).kill()
    return KILLS


def victim(line: RoughLine, rng: random.Random) -> psutil.Process:
    """A process of the line: a scheduler, a worker, or what it has started."""
    return rng.choice([*line.with_children("scheduler"), *line.with_children("worker")])


def progress(line: RoughLine, jobs: list[int]) -> int:
    """Grows with every checkpoint and shard."""
    train, generate = jobs
    newest = line.checkpoints(train)
    return (newest[0].id if newest else 0) + len(line.shards(generate))


def are_over(line: RoughLine, jobs: list[int]) -> bool:
    return all(line.job(job).state.is_terminal for job in jobs)
