"""Animations, from the walk or the sequence to the files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from db.tables.jobs import Role
from imagemodels.data import load_sequences
from imagemodels.networks.decoder import ConvDecoder
from imagemodels.networks.sequence import SequencePredictor
from imagemodels.networks.sequence_specs import SequenceSpec
from imagemodels.networks.specs import ConvDecoderSpec
from imagemodels.prediction import Predictor
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator
from pixmill.specs import AnimateSpec, TrainSpec
from storage.animations import read_animation_index
from storage.manifest import read_metadata
from storage.outputs import verify_output
from storage.records import ShardRecord
from storage.shards import read_images, read_rows
from tests.worker.conftest import digits_model
from tests.worker.line import Line
from worker.device.makers import Forecasts, Walks

RUNTIME = Runtime(threads=1)
SMALL: dict[str, bool | int | float | str] = {"width": 4, "patch": 2, "given_frames": 2, "predicted_frames": 2}


def generator(num_classes: int = 3) -> Generator:
    torch.manual_seed(2)
    spec = ConvDecoderSpec(image_size=8, channels=1, latent_size=6, width=4, num_classes=num_classes)
    return Generator(ConvDecoder(spec), RUNTIME)


def walks(**changes: Any) -> AnimateSpec:
    return AnimateSpec(**{"model": "one@1", "n": 4, "frames": 12, "stops": 3, "seed": 5, **changes})


def test_a_walk_comes_by_the_images_of_its_stops_and_ends_where_it_began() -> None:
    made = Walks(walks(), generator(), ("a", "b", "c"), None)
    frames, labels = made.make(np.arange(12, 24))  # the second walk
    assert labels is not None
    assert labels.tolist() == [1] * 12
    stops = generator().sample(5, np.arange(3, 6), np.full(3, 1))
    assert np.array_equal(frames[[0, 4, 8]], stops)
    steps = np.abs(np.diff(frames.astype(int), axis=0, append=frames[:1].astype(int))).mean((1, 2, 3))
    assert steps.max() < 4 * np.median(steps)  # no jump, back to the first neither


def test_every_frame_can_be_made_on_its_own() -> None:
    made = Walks(walks(), generator(), ("a", "b", "c"), np.array([2, 0]))
    whole, labels = made.make(np.arange(48))
    assert labels is not None
    assert labels.reshape(4, 12).tolist() == [[2] * 12, [0] * 12] * 2
    for index in (0, 17, 40):
        frame, label = made.make(np.array([index]))
        assert np.array_equal(frame[0], whole[index])
        assert label is not None
        assert label[0] == labels[index]


def test_forecasts_begin_with_the_given_frames_of_held_out_sequences() -> None:
    torch.manual_seed(1)
    predictor = Predictor(
        SequencePredictor(SequenceSpec(image_size=8, channels=1, width=4, layers=1, given_frames=2)), RUNTIME
    )
    data = load_sequences("moving:digits", image_size=8)
    spec = AnimateSpec(model="one@1", n=5, frames=4, given=3, seed=9)
    frames, labels = Forecasts(spec, predictor, data).make(np.arange(35))
    assert labels is not None
    assert labels.reshape(5, 7).tolist() == [[0, 0, 0, 1, 1, 1, 1]] * 5
    known = data.sequences(np.arange(5), 3, held_out=True, seed=9)
    whole = frames.reshape(5, 7, 8, 8, 1)
    assert np.array_equal(whole[:, :3], known)
    assert np.array_equal(whole[:, 3:], predictor.predict(known, 4))
    alone, _ = Forecasts(spec, predictor, data).make(np.array([19]))
    assert np.array_equal(alone[0], frames[19])


def files_of(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(output.glob("animation*"))}


def checked(line: Line, job: int, spec: AnimateSpec, extra: dict[str, int]) -> Path:
    """The job's folder, once all that is promised of its files holds."""
    *_, assemble = line.tasks(job)
    assert assemble.role is Role.ASSEMBLE
    assert assemble.result is not None
    assert (assemble.result["animations"], assemble.result["images"]) == (spec.n, spec.n * spec.frames_each)
    output = line.path(assemble.result["output"])
    records = [ShardRecord.from_json(shard.record) for shard in line.shards(job)]
    assert verify_output(output, records).problems == ()
    assert json.loads(read_metadata(output / records[0].parquet)["animation"]) == {
        "frames_each": spec.frames_each,
        **extra,
    }
    for found in read_animation_index(output):
        images, _ = read_images(output, 0, start=found.first_index, count=found.frames)
        with Image.open(output / f"animation-{found.number:06d}.webp") as image:
            shown = [np.asarray(frame.convert("L")) for frame in ImageSequence.Iterator(image)]
        assert {frame.tobytes() for frame in shown} == {frame.tobytes() for frame in images}
    assert len(files_of(output)) == 2 * spec.n + 1
    return output


def test_a_walk_job_publishes_animations_and_their_frames(sqlite_line: Line) -> None:
    line = sqlite_line
    model = digits_model(line)
    spec = AnimateSpec(model=model, n=3, frames=8, seed=3)
    first, second = line.run(spec, name="walks"), line.run(spec)
    output = checked(line, first, spec, {"stops": 4})
    assert files_of(output) == files_of(checked(line, second, spec, {"stops": 4}))
    rows = read_rows(output, 0)
    assert [row.label for row in rows] == [0] * 8 + [1] * 8 + [2] * 8
    assert {row.seed for row in rows} == {3}


def test_a_sequence_job_publishes_what_was_given_and_what_was_predicted(sqlite_line: Line) -> None:
    options = SMALL | {"given_frames": 3}
    train = TrainSpec(model="convlstm", dataset="moving:digits", image_size=8, images=64, options=options)
    job = sqlite_line.submit(train, name="moves")
    animate = sqlite_line.run(AnimateSpec(model=f"job:{job}", n=4, frames=5))
    assert sqlite_line.job(animate).spec["given"] == 3  # as in training
    spec = AnimateSpec.model_validate(sqlite_line.job(animate).spec)
    output = checked(sqlite_line, animate, spec, {"given": 3})
    result = sqlite_line.tasks(animate)[-1].result
    assert result is not None
    assert result["class_counts"] == {"given": 12, "predicted": 20}
    assert json.loads((output / "dataset.json").read_text())["details"]["animation"]["given"] == 3


def test_sequences_that_changed_since_the_training_are_refused(
    sqlite_line: Line, tmp_path: Path, pictures: Path
) -> None:
    data = f"moving:folder:{pictures}"
    train = TrainSpec(model="convlstm", dataset=data, image_size=16, images=32, options=SMALL)
    job = sqlite_line.run(train, name="own-moves")
    next(pictures.rglob("*.png")).unlink()
    animate = sqlite_line.submit(AnimateSpec(model=f"job:{job}", n=1, frames=2))
    sqlite_line.wait(animate)
    assert "has changed since model own-moves@1 was trained" in (sqlite_line.task(animate).message or "")


@pytest.mark.parametrize("frames", [2, 41])
def test_no_animation_is_parted_by_a_shard(frames: int) -> None:
    spec = AnimateSpec(model="m", n=1000, frames=frames)
    assert spec.shard_size % spec.frames_each == 0
    assert 1000 <= spec.shard_size <= 2000
    assert AnimateSpec(model="m", n=3, frames=1000, given=500).shard_size == 1500
