"""A train job that was stopped in the middle ends with the same bytes as one that was left alone."""

import json
from typing import Any

import pytest

from db.registry import version_of_job
from pixmill.specs import TrainSpec
from pixmill.states import State
from storage.atomic import sha256_file
from tests.worker.line import Line

SPECS = {
    "vae": TrainSpec(
        model="vae",
        dataset="digits",
        image_size=16,
        conditional=True,
        images=2_000,
        seed=7,
        options={"width": 8, "latent_size": 8, "feature_size": 16},
    ),
    "sngan": TrainSpec(
        model="sngan",
        dataset="digits",
        image_size=16,
        conditional=True,
        images=768,
        seed=7,
        options={"width": 8, "discriminator_width": 8, "latent_size": 8},
    ),
}


@pytest.mark.parametrize("model", ["sngan", pytest.param("vae", marks=pytest.mark.long)])
def test_a_resumed_run_equals_an_undisturbed_one(line: Line, model: str) -> None:
    stopped = line.submit(SPECS[model], name=f"{model}-stopped")
    line.wait_for_training(stopped)
    assert line.terminate_worker() == 0
    interrupted_at = line.checkpoints(stopped)[0].images_seen
    assert 0 < interrupted_at < SPECS[model].images
    line.start()
    assert line.wait(stopped) is State.SUCCEEDED, line.story(stopped)
    alone = line.run(SPECS[model], name=f"{model}-alone")
    assert (line.task(stopped).preemptions, line.task(alone).preemptions) == (1, 0)
    assert outcome(line, stopped) == outcome(line, alone)
    assert measured(line, stopped) == measured(line, alone)


def outcome(line: Line, job_id: int) -> dict[str, Any]:
    """What identifies the trained model."""
    with line.database.read() as session:
        version = version_of_job(session, job_id)
    assert version is not None
    weights = sha256_file(line.path(version.folder) / "weights.safetensors")
    return {"digest": version.digest, "weights": weights, "seen": version.images_seen, "quality": version.metric_value}


def measured(line: Line, job_id: int) -> list[dict[str, Any]]:
    """The quality measurements of all attempts; a later attempt's first one cuts the earlier series from there on."""
    series: list[dict[str, Any]] = []
    for attempt in line.attempts(job_id):
        file = line.path(attempt.folder) / "quality.jsonl"
        if not file.exists():
            continue  # stopped before it had measured anything
        fresh = [json.loads(text) for text in file.read_text(encoding="utf-8").splitlines()]
        series = [entry for entry in series if not fresh or entry["images"] < fresh[0]["images"]] + fresh
    return series
