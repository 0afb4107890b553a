"""A trained classifier as the feature net: the same numbers as ever, or a refusal in one line."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imagemodels.card import CARD_FILE, Metadata
from imagemodels.data import ImageDataset, dataset_from_arrays
from imagemodels.data.seen import SeenImages
from imagemodels.errors import CorruptCheckpoint, DataError
from imagemodels.evaluation.judge import SEEN_FILE, Judge, judging_net, load_judge, write_seen
from imagemodels.export import save_model
from tests.imagemodels.evaluation.conftest import Study


@pytest.fixture
def folder(study: Study, tmp_path: Path) -> Path:
    """The study's classifier as an exported model."""
    metadata = Metadata(
        preset="cnn",
        images_seen=20_000,
        seed=0,
        class_names=study.dataset.class_names,
        dataset_fingerprint=study.dataset.fingerprint,
        settings=write_seen(tmp_path / "model", study.dataset),
    )
    save_model(tmp_path / "model", study.net.classifier, metadata)
    return tmp_path / "model"


@pytest.fixture
def judge(study: Study, folder: Path) -> Judge:
    return load_judge(folder, "reader@1", study.net.digest, study.runtime)


def other_data(study: Study, images: np.ndarray, labels: np.ndarray) -> ImageDataset:
    return dataset_from_arrays("grown", images, labels, study.dataset.class_names)


def test_a_judge_of_the_same_data_measures_as_the_data_sets_own_net(study: Study, judge: Judge) -> None:
    net = judging_net(judge, study.dataset)
    assert (net.name, net.digest, net.accuracy, net.scale) == (
        study.net.name,
        study.net.digest,
        study.net.accuracy,
        study.net.scale,
    )
    assert np.array_equal(net.features(study.fresh_images), study.net.features(study.fresh_images))


def test_images_that_it_never_saw_may_be_held_out_and_keep_its_name(study: Study, judge: Judge) -> None:
    fresh = other_data(study, study.fresh_images, study.fresh_labels)
    net = judging_net(judge, fresh)
    assert net.name == study.net.name
    features = net.features(fresh.images[fresh.train_indices])
    assert (features.astype(np.float64) ** 2).mean() == pytest.approx(1.0, rel=1e-3)
    assert net.accuracy is not None
    assert net.accuracy > 0.85


def test_a_judge_that_learnt_from_held_out_images_is_refused_with_their_number(study: Study, judge: Judge) -> None:
    fresh = other_data(study, study.fresh_images, study.fresh_labels)
    known = study.dataset.train_indices[:3]
    leaked = fresh.images.copy()
    leaked[fresh.test_indices[:3]] = study.dataset.images[known]
    with pytest.raises(DataError, match=rf"reader@1 was trained on 3 of the {len(fresh.test_indices)} images") as found:
        judging_net(judge, replace(fresh, images=leaked))
    assert "\n" not in str(found.value)
    learnt = fresh.images.copy()  # what both learn from does no harm
    learnt[fresh.train_indices[:3]] = study.dataset.images[known]
    judging_net(judge, replace(fresh, images=learnt))


def test_without_a_record_of_what_it_saw_only_its_own_data_can_be_judged(study: Study, judge: Judge) -> None:
    silent = replace(judge, seen=None)
    judging_net(silent, study.dataset)
    with pytest.raises(DataError, match="does not say on which images, so it may know the"):
        judging_net(silent, other_data(study, study.fresh_images, study.fresh_labels))


def test_other_sizes_channels_and_classes_are_refused(study: Study, judge: Judge) -> None:
    small, labels = np.ascontiguousarray(study.fresh_images[:, ::2, ::2]), study.fresh_labels
    with pytest.raises(DataError, match="takes images of 12×12×1, and those of grown are read as 6×6×1"):
        judging_net(judge, other_data(study, small, labels))
    with pytest.raises(DataError, match="are read as 12×12×3"):
        judging_net(judge, other_data(study, np.repeat(study.fresh_images, 3, axis=3), labels))
    pair = dataset_from_arrays("pair", study.fresh_images, labels % 2, ("even", "odd"))
    with pytest.raises(DataError, match=r"knows 10 classes \(0, 1, .*, 9\), and pair has 2 classes \(even, odd\)"):
        judging_net(judge, pair)
    with pytest.raises(DataError, match="and plain has no classes"):
        judging_net(judge, dataset_from_arrays("plain", study.fresh_images))


def test_files_that_are_not_the_recorded_ones_are_noticed(study: Study, folder: Path) -> None:
    with pytest.raises(CorruptCheckpoint, match="holds another model than reader@2"):
        load_judge(folder, "reader@2", "0" * 64, study.runtime)
    (folder / SEEN_FILE).write_bytes(b"\0" * 16)
    with pytest.raises(CorruptCheckpoint, match="was altered"):
        load_judge(folder, "reader@1", study.net.digest, study.runtime)
    (folder / SEEN_FILE).unlink()
    with pytest.raises(CorruptCheckpoint, match="does not say which images"):
        load_judge(folder, "reader@1", study.net.digest, study.runtime)
    (folder / CARD_FILE).unlink()
    with pytest.raises(CorruptCheckpoint, match="no model can be read"):
        load_judge(folder, "reader@1", study.net.digest, study.runtime)


def test_seen_images_survive_their_file_and_count_what_they_are_asked_for(study: Study) -> None:
    seen = SeenImages.of(study.dataset)
    again = SeenImages.from_bytes(seen.to_bytes())
    assert np.array_equal(again.keys, seen.keys)
    images, everything = study.dataset.images, np.arange(len(study.dataset))
    assert again.count(images, study.dataset.train_indices) == len(study.dataset.train_indices)
    assert again.count(images, study.dataset.test_indices) == 0
    assert again.count(images, everything) == len(study.dataset.train_indices)
    with pytest.raises(ValueError, match="multiple"):
        SeenImages.from_bytes(b"\0" * 7)
