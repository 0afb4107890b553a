import json
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagemodels.data import ImageDataset, dataset_from_arrays
from imagemodels.data.split import content_split
from imagemodels.errors import DataError


def _images(count: int, seed: int = 0) -> np.ndarray[tuple[int, int, int, int], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 1), dtype=np.uint8)


def test_a_description_is_plain_json() -> None:
    dataset = dataset_from_arrays("mine", _images(20), np.arange(20, dtype=np.int64) % 2, ("cat", "dog"))
    description = json.loads(json.dumps(dataset.describe()))
    assert description["histogram"] == {"cat": 10, "dog": 10}
    assert description["train_images"] + description["test_images"] == 20
    assert description["split"] == "content seed=0 share=0.2"
    assert description["classes"] == ["cat", "dog"]


@pytest.mark.parametrize(
    ("images", "labels", "names", "reason"),
    [
        (_images(4).astype(np.float32), None, (), "must be uint8"),
        (_images(4)[:, :, :6], None, (), "with H = W"),
        (_images(4)[:0], None, (), "there are no images"),
        (_images(4), np.zeros(3, dtype=np.int64), ("a",), "one an image"),
        (_images(4), np.zeros(4, dtype=np.int32), ("a",), "must be int64"),
        (_images(4), np.full(4, 2, dtype=np.int64), ("a", "b"), "there are 2 class names"),
        (_images(4), None, ("a",), "1 class names but no labels"),
    ],
)
def test_parts_that_contradict_one_another_are_refused(
    images: np.ndarray, labels: np.ndarray | None, names: tuple[str, ...], reason: str
) -> None:
    everything, nothing = np.arange(len(images)), np.arange(0)
    with pytest.raises(DataError, match=reason):
        ImageDataset("mine", images, labels, names, everything, nothing, "content", "f")


def test_the_two_parts_must_make_up_the_whole() -> None:
    with pytest.raises(DataError, match="must part all 4"):
        ImageDataset("mine", _images(4), None, (), np.array([0, 1]), np.array([1, 3]), "content", "f")


@given(labels=st.lists(st.integers(0, 3), min_size=1, max_size=60), seed=st.integers(0, 100), order=st.randoms())
def test_a_split_is_whole_stratified_and_blind_to_order(labels: list[int], seed: int, order: Random) -> None:
    digests = [f"image {number}" for number in range(len(labels))]
    train, test = content_split(digests, np.array(labels), seed)
    assert sorted([*train, *test]) == list(range(len(labels)))
    for label in set(labels):
        count = labels.count(label)
        held_out = sum(labels[index] == label for index in test)
        assert held_out == (0 if count == 1 else max(1, round(0.2 * count)))
    shuffled = list(range(len(labels)))
    order.shuffle(shuffled)
    _, shuffled_test = content_split([digests[i] for i in shuffled], np.array([labels[i] for i in shuffled]), seed)
    assert {shuffled[index] for index in shuffled_test} == set(test.tolist())


@given(st.lists(st.integers(0, 5), min_size=2, max_size=40), st.integers(0, 50))
def test_equal_contents_never_lie_on_both_sides(contents: list[int], seed: int) -> None:
    train, test = content_split([str(content) for content in contents], None, seed)
    assert not {contents[index] for index in train} & {contents[index] for index in test}
    assert len(train) > 0
