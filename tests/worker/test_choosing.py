"""Data sets whose images are chosen: by quotas, near the middle, by a classifier, from several models."""

import json
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from imagemodels.classifier import Classifier
from imagemodels.confidence import confidences
from imagemodels.data import load_dataset
from imagemodels.errors import ConfigError
from imagemodels.networks.decoder import ConvDecoder
from imagemodels.networks.encoder import ConvEncoder
from imagemodels.networks.specs import ConvDecoderSpec, ConvEncoderSpec
from imagemodels.random import candidate_seed
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator
from pixmill.specs import GenerateSpec
from scheduler.generation import check_generate
from storage.choices import Choices
from storage.manifest import ShardRow, read_metadata
from storage.markers import read_marker
from storage.png import ENCODER
from storage.shards import read_images, read_rows
from tests.worker.desks import Listener
from tests.worker.test_kinds_edit import generator
from tests.worker.test_kinds_generate import METADATA, exported
from worker.assignment import ModelInput, ShardInput
from worker.device.evaluate import choice_warnings
from worker.device.exporting import export_model
from worker.device.made import Made, MadeFiles
from worker.device.mixture import mixture_of
from worker.device.tally import tallied
from worker.device.wire import Wire

CLASSES = ("a", "b", "c")
NAMES = ("x", "c", "a", "b")  # what the filter calls them, in its own order
FILTER: dict[str, Any] = {"filter_model": "cnn@1", "min_confidence": 0.3}
RunTask = Callable[..., tuple[Listener, dict[str, Any]]]


@cache
def judge() -> Classifier:
    """A classifier that has learnt nothing, but takes a share of the generator's images of any class for each class."""
    torch.manual_seed(3)
    classifier = Classifier(
        ConvEncoder(ConvEncoderSpec(image_size=8, channels=1, outputs=4, width=4)), Runtime(threads=1)
    )
    images = torch.from_numpy(generator(3).sample(5, np.arange(300))).permute(0, 3, 1, 2)
    features = classifier.features(images)
    means = torch.stack([features[number::3].mean(0) for number in range(3)])
    apart, _ = torch.linalg.qr((means[1:] - means[0]).T)
    weights = torch.randn(4, features.shape[1])
    weights -= weights @ apart @ apart.T  # blind to what tells the generator's classes apart
    logits = features @ weights.T
    scale = 1.5 / logits.std(0)
    with torch.no_grad():
        classifier.network.head.weight.copy_(weights * scale[:, None])
        classifier.network.head.bias.copy_(-logits.mean(0) * scale)
    return classifier


def exported_judge(root: Path, **changes: Any) -> ModelInput:
    described = replace(exported(root, generator(3)), reference="cnn@1", folder="models/cnn", digest=judge().digest)
    export_model(root / "models/cnn", judge(), METADATA)
    return replace(described, classes=NAMES, **changes)


@cache
def other() -> Generator:
    torch.manual_seed(7)
    network = ConvDecoder(ConvDecoderSpec(image_size=8, channels=1, num_classes=3, latent_size=9, width=4))
    return Generator(network, Runtime(threads=1))


def exported_other(root: Path, **changes: Any) -> ModelInput:
    described = replace(exported(root, generator(3)), reference="other@2", folder="models/other", digest=other().digest)
    export_model(root / "models/other", other(), METADATA)
    return replace(described, **{"classes": CLASSES, **changes})


@pytest.fixture
def run_task(tmp_path: Path) -> Iterator[RunTask]:
    """Runs a generate task of all shards, or of those that are named; gives its desk and the answer."""
    made: list[Listener] = []

    def run(
        first_shard: int = 0,
        shards: int = 99,
        published: tuple[int, ...] = (),
        model: Mapping[str, Any] = MappingProxyType({}),
        **asked: Any,
    ) -> tuple[Listener, dict[str, Any]]:
        described = replace(exported(tmp_path, generator(3)), classes=CLASSES, **model)
        spec = check_generate(GenerateSpec(**{"model": "one@1", "n": 50, "seed": 5, **asked}))
        filters = exported_judge(tmp_path) if spec.filter_model else None
        further = (exported_other(tmp_path),) if spec.further_models else ()
        params = {"first_shard": first_shard, "shards": shards, "published_shards": list(published)}
        fields: dict[str, Any] = {"spec": spec.model_dump(), "params": params, "epoch": len(made) + 1}
        made.append(
            Listener(tmp_path, role="generate", model=described, judge=filters, further_models=further, **fields)
        )
        return made[-1], made[-1].run().answer

    yield run
    for listener in made:
        listener.close()


def rows_of(listener: Listener, shards: int = 1) -> list[ShardRow]:
    return [row for number in range(shards) for row in read_rows(listener.desk.folder, number)]


def images_of(listener: Listener, shards: int = 1) -> np.ndarray:
    return np.concatenate([read_images(listener.desk.folder, number)[0] for number in range(shards)])


@pytest.mark.parametrize(
    ("asked", "counts"),
    [
        ({"n": 44, "class_counts": {"c": 33, "a": 11}}, [11, 0, 33]),
        ({"n": 50, "class_weights": {"a": 1.0, "c": 2.0, "b": 0.5}}, [14, 7, 29]),
        ({"n": 50, "classes": ["c", "a"]}, [25, 0, 25]),
    ],
)
def test_quotas_are_exact_over_all_shards(run_task: RunTask, asked: dict[str, Any], counts: list[int]) -> None:
    listener, answer = run_task(shard_size=20, **asked)
    assert answer["say"] == "succeeded", answer
    rows = rows_of(listener, 3)
    assert np.bincount([row.label or 0 for row in rows], minlength=3).tolist() == counts
    assert [row.index for row in rows] == list(range(asked["n"]))
    assert all(row.choice is None for row in rows)  # nothing was chosen, and the tables have no more columns
    labels = np.array([row.label for row in rows])
    assert np.array_equal(images_of(listener, 3), generator(3).sample(5, np.arange(asked["n"]), labels))


def test_truncated_images_come_from_shorter_latents_and_say_so(run_task: RunTask) -> None:
    listener, _ = run_task(truncation=0.5)
    model, numbers = generator(3), np.arange(50)
    latents = model.latents(5, numbers) * np.float32(0.5)
    assert np.array_equal(images_of(listener), model.decode(latents, numbers % 3))
    choices = {(row.choice.truncation, row.choice.accepted) for row in rows_of(listener) if row.choice}
    assert choices == {(0.5, True)}
    told = json.loads(read_metadata(listener.desk.folder / "shard-000000.parquet")["choice"])
    assert told == {"truncation": 0.5}


def candidates(number: int, count: int) -> np.ndarray:
    """The first so many images that may become that number, each made on its own."""
    return np.concatenate([generator(3).sample(candidate_seed(5, at), np.array([number])) for at in range(count)])


def test_an_image_is_the_first_candidate_that_the_filter_takes_for_its_class(run_task: RunTask) -> None:
    listener, answer = run_task(**FILTER)
    assert answer["say"] == "succeeded", answer
    images = images_of(listener)
    for row in rows_of(listener):
        assert row.choice is not None
        tried = candidates(row.index, row.choice.candidate + 1)
        as_it_is_called = np.full(len(tried), NAMES.index(CLASSES[row.index % 3]))
        found, likeliest = confidences(judge(), tried, as_it_is_called)
        assert ((found >= 0.3) & likeliest).tolist() == [False] * row.choice.candidate + [True]
        assert np.array_equal(images[row.index], tried[-1])
        assert (row.choice.confidence, row.choice.accepted) == (found[-1], True)
    tried_more = Counter(row.choice.candidate > 0 for row in rows_of(listener) if row.choice)
    assert min(tried_more[True], tried_more[False]) > 5  # or the test says little


def test_neither_shards_nor_tasks_nor_retries_move_a_choice(run_task: RunTask) -> None:
    whole, _ = run_task(**FILTER)
    parts = [
        run_task(shard_size=17, first_shard=0, shards=1, **FILTER)[0],
        run_task(shard_size=17, first_shard=1, shards=2, published=(1,), **FILTER)[0],
        run_task(shard_size=17, first_shard=1, shards=1, **FILTER)[0],
    ]
    together = [
        row for part, number in zip(parts, (0, 2, 1), strict=True) for row in read_rows(part.desk.folder, number)
    ]
    facts = {row.index: (row.sha256, row.choice) for row in together}
    assert facts == {row.index: (row.sha256, row.choice) for row in rows_of(whole)}


def test_without_a_good_candidate_the_job_fails_in_one_line_or_takes_the_best(run_task: RunTask) -> None:
    _, answer = run_task(**{**FILTER, "min_confidence": 0.999, "max_tries": 3})
    assert (answer["say"], answer["reason"]) == ("failed", "UserError")
    assert "image 0 of class 'a': none of 3 candidates is good enough" in answer["message"]
    assert "\n" not in answer["message"]

    listener, _ = run_task(**{**FILTER, "min_confidence": 0.999, "max_tries": 3, "on_reject": "best"})
    rows = rows_of(listener)
    for row in rows[:6]:
        assert row.choice is not None
        found, _ = confidences(judge(), candidates(row.index, 3), np.full(3, NAMES.index(CLASSES[row.index % 3])))
        assert (row.choice.candidate, row.choice.accepted) == (int(found.argmax()), False)
    tally = tallied(rows, {"max_tries": 3}).choices(CLASSES)
    assert tally["a"] == {"accepted": 0, "rejected": 51, "taken_anyway": 17}


def test_what_was_chosen_comes_whole_from_another_process() -> None:
    random = np.random.default_rng(0)
    choices = Choices(
        np.arange(3), np.array([0, 1, 0]), random.random(3), np.array([0.5, np.nan, 1.0]), np.array([True, False, True])
    )
    images = random.integers(0, 256, (3, 8, 8, 1), dtype=np.uint8)
    for made in (Made(images, np.arange(3), choices), Made(images, None, choices), Made(images, np.arange(3))):
        sent = MadeFiles.encoded(made, ENCODER, making_seconds=0.5)
        ours, theirs = socket.socketpair()
        here, there = Wire(ours), Wire(theirs)
        here.send(sent.facts, *sent.arrays)
        found = MadeFiles.of(*there.receive())
        assert (found.facts, found.files, found.digests) == (
            {**sent.facts, "shape": (8, 8, 1)},
            sent.files,
            sent.digests,
        )
        for one, other in zip(found.arrays, sent.arrays, strict=True):
            assert np.array_equal(one, other, equal_nan=other.dtype == np.float64)
            assert one.dtype == other.dtype
        here.close()
        there.close()


def test_the_tally_counts_every_candidate(run_task: RunTask) -> None:
    listener, _ = run_task(**FILTER)
    rows = rows_of(listener)
    tally = tallied(rows, {"max_tries": 100})
    assert tally.counts(CLASSES) == {"a": 17, "b": 17, "c": 16}
    rejected = sum(row.choice.candidate for row in rows if row.choice and row.label == 1)
    assert tally.choices(CLASSES)["b"] == {"accepted": 17, "rejected": rejected, "taken_anyway": 0}
    assert tallied(rows, {"truncation": 0.5}).choices(CLASSES) == {}

    assert tallied(rows, {"reject_duplicates": "exact"}).warnings == []
    assert tallied([*rows, *rows[:2]], {"reject_duplicates": "exact"}).warnings == [
        "2 of 52 images equal an earlier one of this data set"
    ]
    assert tallied([*rows, *rows[:2]], None).warnings == []


def test_several_models_share_the_images_of_every_class(run_task: RunTask) -> None:
    asked = {"further_models": ["other@2"], "model_weights": [1.0, 3.0], "n": 120}
    listener, answer = run_task(**asked)
    assert answer["say"] == "succeeded", answer
    rows, images = rows_of(listener), images_of(listener)
    by = np.array([row.choice.checkpoint for row in rows if row.choice])
    labels = np.arange(120) % 3
    for place, model in enumerate((generator(3), other())):
        mine = np.flatnonzero(by == place)
        assert np.array_equal(images[mine], model.sample(5, mine, labels[mine]))
        assert np.bincount(labels[mine], minlength=3).min() > 5
    assert 70 <= (by == 1).sum() <= 110  # of 120, three in four on average
    told = json.loads(read_metadata(listener.desk.folder / "shard-000000.parquet")["choice"])
    assert (told["models"], told["model_weights"]) == (["one@1", "other@2"], [1.0, 3.0])
    assert told["checkpoints"] == [generator(3).digest, other().digest]
    assert read_marker(listener.desk.folder, 0).meta.checkpoints == (generator(3).digest, other().digest)

    parts, _ = run_task(shard_size=50, **asked)
    assert [row.sha256 for row in rows_of(parts, 3)] == [row.sha256 for row in rows]


def test_models_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    described = replace(exported(tmp_path, generator(3)), classes=CLASSES)
    spec = check_generate(GenerateSpec(model="one@1", n=9, further_models=["other@2"]))
    first = (described, generator(3))
    with pytest.raises(ConfigError, match="models one@1 and other@2 make images of other sizes or classes"):
        mixture_of(spec, first, [(exported_other(tmp_path, classes=("a", "c", "b")), other())])
    with pytest.raises(ConfigError, match="model cnn@1 is a classifier: it makes no images"):
        mixture_of(spec, first, [(exported_judge(tmp_path), judge())])


def test_no_image_is_one_that_the_model_has_learnt_from(run_task: RunTask, tmp_path: Path) -> None:
    """The images that the model makes first are its training images here."""
    first = generator(3).sample(5, np.arange(20))
    for number, image in enumerate(first):
        Image.fromarray(image[:, :, 0]).save(tmp_path / f"{number:02d}.png")
    data = load_dataset(f"folder:{tmp_path}", image_size=8, channels=1)
    copies = {image.tobytes() for image in data.images[data.train_indices]}
    learnt = [number for number, image in enumerate(first) if image.tobytes() in copies]
    trained_on = {"dataset": f"folder:{tmp_path}", "dataset_fingerprint": data.fingerprint}

    listener, answer = run_task(model=trained_on, n=20, reject_duplicates="exact")
    assert answer["say"] == "succeeded", answer
    chosen = [row.choice for row in rows_of(listener)]
    assert [number for number, choice in enumerate(chosen) if choice and choice.candidate] == learnt
    assert {choice.candidate for choice in chosen if choice} == {0, 1}
    assert not {image.tobytes() for image in images_of(listener)} & copies

    _, answer = run_task(model=trained_on, n=20, reject_duplicates="exact", max_tries=1)
    assert "none of 1 candidates is good enough; there are such images already" in answer["message"]
    _, answer = run_task(model={**trained_on, "dataset_fingerprint": "0" * 64}, n=20, reject_duplicates="near")
    assert "has changed since model one@1 was trained" in answer["message"]


def test_an_evaluation_says_that_the_images_were_chosen_and_by_whom(run_task: RunTask, tmp_path: Path) -> None:
    def warnings(made: Listener, judge_digest: str) -> list[str]:
        (record,) = (message["record"] for message in made.said("shard"))
        shard = ShardInput(folder=made.desk.assignment.folder, record=record)
        with closing(Listener(tmp_path, role="evaluate", epoch=9, shards=(shard,))) as listener:
            return choice_warnings(listener.desk, judge_digest)

    chosen, _ = run_task(n=5, **FILTER)
    assert [warning.partition(":")[0] for warning in warnings(chosen, judge().digest)] == [
        "the images were chosen, as their tables say",
        "the judge is the classifier that chose the images",
    ]
    assert len(warnings(chosen, "f" * 64)) == 1
    assert warnings(run_task(n=5)[0], judge().digest) == []
