"""What happens when the memory really runs out: torch's own allocator is refused what a full batch needs."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.worker import short_memory

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, Any]]:
    """What a process found that worked under limits of memory."""
    process = subprocess.run(
        [sys.executable, "-m", "tests.worker.short_memory"],
        cwd=REPOSITORY,
        env={**os.environ, **short_memory.ENVIRONMENT},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    for what in ("a training step", "the making of images", "a classifier's pass"):
        assert f"in {what}; trying half" in process.stderr
    cases: dict[str, dict[str, Any]] = json.loads(process.stdout)
    return cases


def test_a_training_step_that_does_not_fit_is_taken_in_parts(found: dict[str, dict[str, Any]]) -> None:
    size = found["train"]["size"]
    assert 1 <= size < short_memory.BATCH
    assert found["train"]["told"] == size
    trainer = short_memory.new_trainer()
    trainer.micro_batch = size  # from the start, with all the memory that there is
    assert short_memory.train(trainer)["digest"] == found["train"]["digest"]


def test_images_are_those_of_the_batch_that_fits(found: dict[str, dict[str, Any]]) -> None:
    size = found["sample"]["size"]
    assert 1 <= size < short_memory.BATCH
    assert short_memory.sample(short_memory.new_generator(size))["digest"] == found["sample"]["digest"]


@pytest.mark.long
def test_features_are_those_of_the_batch_that_fits(found: dict[str, dict[str, Any]]) -> None:
    classifier = short_memory.new_classifier()
    assert found["classify"]["size"] < classifier.batch_size
    classifier.batch_size = found["classify"]["size"]
    assert short_memory.classify(classifier)["digest"] == found["classify"]["digest"]


def test_the_next_task_begins_with_full_batches_again() -> None:
    generator, classifier = short_memory.new_generator(16), short_memory.new_classifier()
    full = classifier.batch_size
    generator.batch_size = classifier.batch_size = 2
    generator.use_full_batches()
    classifier.use_full_batches()
    assert (generator.batch_size, classifier.batch_size) == (16, full)
