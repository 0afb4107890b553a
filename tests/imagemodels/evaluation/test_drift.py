"""How data differ from those before them: real digits, some of them left out, relabelled or darkened."""

import io
from typing import Any

import numpy as np
import pytest

from imagemodels.data import ImageDataset, dataset_from_arrays, load_dataset
from imagemodels.errors import CorruptCheckpoint
from imagemodels.evaluation.datatraces import DataSummary, DataTraces, summarised, thumbnails
from imagemodels.evaluation.distances import frechet_distance, moments, moments_distance
from imagemodels.evaluation.drift import Drift, KnownData, compared
from imagemodels.evaluation.driftlimits import Limits, sentence, violations

DIGITS = load_dataset("digits", image_size=8)
assert DIGITS.labels is not None
IMAGES, LABELS = DIGITS.images, DIGITS.labels


def data(chosen: Any, labels: Any = None, images: Any = IMAGES) -> ImageDataset:
    return dataset_from_arrays(
        "some", images[chosen], (LABELS if labels is None else labels)[chosen], list("0123456789")
    )


def known(found: ImageDataset) -> KnownData:
    return KnownData(found.name, found.fingerprint, found.describe(), *summarised(found))


def drift(before: ImageDataset, now: ImageDataset) -> Drift:
    return compared(known(before), known(now), "digits@1")


BEFORE = data(slice(0, 1000))


def test_images_are_told_one_by_one() -> None:
    found = drift(BEFORE, data(slice(10, 1200)))
    assert (found.before, found.now, found.added, found.removed) == (1000, 1190, 200, 10)
    assert (found.is_same, found.shrink) == (False, 0.0)
    assert found.class_shift is not None
    assert found.class_shift < 0.03
    same = drift(BEFORE, data(slice(0, 1000)))
    assert (same.is_same, same.added, same.removed, same.class_shift, same.classes) == (True, 0, 0, 0.0, ())
    assert "the data are those of digits@1" in sentence(same)


def test_images_of_another_size_are_counted_alone() -> None:
    larger = load_dataset("digits", image_size=16)
    found = drift(DIGITS, larger)
    assert (found.added, found.removed, found.before, found.now) == (None, None, 1797, 1797)
    assert found.thumbnails is not None
    assert "added" not in sentence(found)


def test_looks_and_levels_tell_dark_images_from_others_of_the_same_sort() -> None:
    others, dark = data(slice(797, 1797)), data(slice(797, 1797), images=IMAGES // 2)
    usual, changed = drift(BEFORE, others), drift(BEFORE, dark)
    assert usual.thumbnails is not None
    assert changed.thumbnails is not None
    assert changed.thumbnails.value > 10 * usual.thumbnails.value
    assert usual.mean_shift is not None
    assert changed.mean_shift is not None
    assert abs(usual.mean_shift[0]) < 0.02 < -changed.mean_shift[0]
    assert (usual.image_shift or 0) < 0.05 < (changed.image_shift or 0)


def test_half_of_one_data_set_is_as_far_from_the_other_as_expected() -> None:
    order = np.random.default_rng(0).permutation(len(DIGITS))
    found = drift(data(order[:898]), data(order[898:])).thumbnails
    assert found is not None
    assert found.expected / 3 < found.value < found.expected * 3


def test_shrunken_and_poisoned_data_break_limits() -> None:
    few, poisoned = data(slice(0, 400)), data(slice(0, 1000), labels=np.full_like(LABELS, 3))
    assert list(violations(known(few), drift(BEFORE, few), Limits())) == [
        "400 images, 1,000 before: 60% fewer (max_shrink 0.5)"
    ]
    assert list(violations(known(few), drift(BEFORE, few), Limits(max_shrink=0.7))) == []
    (broken,) = violations(known(poisoned), drift(BEFORE, poisoned), Limits())
    assert broken.startswith("classes have shifted by 0.90 (max_class_shift 0.5), most of all 3: 10.")
    assert list(violations(known(few), None, Limits(min_images=500))) == ["400 images (min_images 500)"]
    torn = KnownData("torn", "f", {"images": 30, "bad_images": 90})
    assert list(violations(torn, None, Limits())) == ["75% of the files are unreadable (max_unreadable 0.5)"]


def test_of_old_versions_numbers_and_classes_are_compared() -> None:
    old = KnownData("some", "f" * 64, {"images": 2000, "histogram": {"0": 1000, "3": 1000}})
    found = compared(old, known(BEFORE), "digits@1")
    assert (found.shrink, found.added, found.thumbnails, found.mean_shift) == (0.5, None, None, None)
    assert found.class_shift == pytest.approx(0.8, abs=0.02)
    bare = compared(KnownData("some", "f" * 64, {}), known(BEFORE), "digits@1")
    assert (bare.before, bare.shrink, bare.class_shift) == (None, 0.0, None)
    assert "unknown before" in sentence(bare)


def test_what_is_kept_comes_back_as_it_was() -> None:
    summary, traces = summarised(BEFORE)
    assert DataSummary.from_json(summary.to_json()) == summary
    file = io.BytesIO()
    traces.with_features(np.random.default_rng(0).normal(size=(50, 4)), "ab" * 32).write(file)
    back = DataTraces.read(io.BytesIO(file.getvalue()))
    assert (back.image_size, back.channels, back.net) == (8, 1, "ab" * 32)
    assert np.array_equal(back.images.keys, traces.images.keys)
    assert back.features is not None
    assert back.features.covariance.shape == (4, 4)
    found = compared(known(data(slice(0, 100))), known(BEFORE), "a")
    assert Drift.from_json(found.to_json()) == found
    for content in (b"", b"no archive", file.getvalue()[:500]):
        with pytest.raises(CorruptCheckpoint, match="what was kept of the data cannot be read"):
            DataTraces.read(io.BytesIO(content))


def test_thumbnails_are_means_of_fields_whatever_the_size() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    fields = images.reshape(3, 8, 2, 8, 2, 3).mean((2, 4)) / 255
    assert np.allclose(thumbnails(images), fields)
    assert np.allclose(thumbnails(np.full((2, 13, 13, 1), 255, dtype=np.uint8)), 1.0)


def test_a_single_image_has_no_spread() -> None:
    one = data(slice(0, 1))
    found = drift(BEFORE, one)
    assert (found.thumbnails, found.removed, found.shrink) == (None, 999, 0.999)


def test_the_distance_of_moments_is_that_of_their_features() -> None:
    random = np.random.default_rng(0)
    first, second = random.normal(size=(200, 8)), random.normal(0.5, 2, size=(300, 8))
    assert moments_distance(moments(first), moments(second)) == pytest.approx(frechet_distance(first, second))


def test_thumbnails_of_images_smaller_than_themselves_are_their_pixels() -> None:
    images = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4, 1)
    np.testing.assert_allclose(thumbnails(images), images.repeat(2, axis=1).repeat(2, axis=2) / 255.0)
