import json
from pathlib import Path

import numpy as np
import pytest

from imagemodels.data import dataset_from_arrays
from imagemodels.errors import CorruptCheckpoint, DataError
from imagemodels.evaluation import feature_net
from imagemodels.runtime import Runtime
from tests.imagemodels.evaluation.conftest import Study


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_labelled_data_gives_a_trained_network_that_knows_the_classes(study: Study) -> None:
    assert study.net.name == f"cnn-{study.net.digest[:8]}"
    assert study.net.accuracy is not None
    assert study.net.accuracy > 0.9
    assert (study.net.predict(study.fresh_images) == study.fresh_labels).mean() > 0.9


def test_features_are_64_numbers_of_mean_square_one_on_the_training_images(study: Study) -> None:
    features = study.net.features(study.dataset.images[study.dataset.train_indices])
    assert features.shape == (len(study.dataset.train_indices), 64)
    assert features.dtype == np.float32
    assert (features.astype(np.float64) ** 2).mean() == pytest.approx(1.0, rel=1e-3)


def test_the_second_time_it_comes_from_the_cache_and_is_the_same(study: Study) -> None:
    before = _files(study.cache)
    again = feature_net(study.dataset, study.cache, study.runtime)
    assert _files(study.cache) == before
    assert again.name == study.net.name
    assert np.array_equal(again.features(study.fresh_images), study.net.features(study.fresh_images))


def test_it_is_the_same_when_made_again_and_another_for_another_seed(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    dataset = dataset_from_arrays("plain", images)
    names = [
        feature_net(dataset, tmp_path / place, Runtime(), seed).name for place, seed in (("a", 0), ("b", 0), ("a", 1))
    ]
    assert names[0] == names[1] != names[2]
    assert all(name.startswith("rnd-") for name in names)
    assert len(_files(tmp_path / "a")) == 4


def test_a_network_with_random_weights_cannot_predict(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), dtype=np.uint8)
    net = feature_net(dataset_from_arrays("plain", images), tmp_path, Runtime())
    assert net.accuracy is None
    assert net.features(images).std() > 0.0
    with pytest.raises(DataError, match="cannot tell classes apart"):
        net.predict(images)


@pytest.mark.parametrize("damage", ["weights", "record", "missing"])
def test_a_damaged_cache_is_noticed(tmp_path: Path, damage: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), dtype=np.uint8)
    dataset = dataset_from_arrays("plain", images)
    feature_net(dataset, tmp_path, Runtime())
    weights, record = next(tmp_path.glob("*.safetensors")), next(tmp_path.glob("*.json"))
    if damage == "weights":
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(bytes(content))
    elif damage == "record":
        record.write_text("{")
    else:
        weights.unlink()
    with pytest.raises(CorruptCheckpoint, match="to have it made again"):
        feature_net(dataset, tmp_path, Runtime())


def test_the_record_is_readable_json(study: Study) -> None:
    document = json.loads(next(study.cache.glob("feature-net-*.json")).read_text())
    assert document["kind"] == "cnn"
    assert document["digest"] == study.net.digest
    assert document["identity"]["fingerprint"] == study.dataset.fingerprint


def test_images_of_another_form_are_refused(study: Study) -> None:
    with pytest.raises(DataError, match=r"takes uint8 images \(N, 12, 12, 1\); found uint8 \(2, 16, 16, 1\)"):
        study.net.features(np.zeros((2, 16, 16, 1), dtype=np.uint8))


def test_precision_and_threads_of_the_runtime_do_not_change_a_number(study: Study, tmp_path: Path) -> None:
    other = feature_net(study.dataset, tmp_path, Runtime(precision="bf16", threads=2))
    assert other.name == study.net.name
    assert np.array_equal(other.features(study.fresh_images), study.net.features(study.fresh_images))
