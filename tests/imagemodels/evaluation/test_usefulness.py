import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagemodels.evaluation.usefulness import LabelledImages, class_accuracy, confusion_matrix, usefulness_measures
from tests.imagemodels.evaluation.conftest import Study


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=50))
def test_a_confusion_matrix_counts_each_pair(pairs: list[tuple[int, int]]) -> None:
    true, predicted = np.array(pairs).T
    confusion = confusion_matrix(true, predicted, 4)
    assert confusion.sum() == len(pairs)
    assert all(confusion[pair] == pairs.count(pair) for pair in pairs)


def test_a_class_that_was_not_tested_has_no_accuracy() -> None:
    accuracies = class_accuracy(np.array([[3, 1], [0, 0]]))
    assert accuracies[0] == 0.75
    assert np.isnan(accuracies[1])


def test_both_sides_learn_from_equally_many_images(study: Study) -> None:
    dataset = study.dataset
    assert dataset.labels is not None
    train, test = dataset.train_indices, dataset.test_indices
    shares: list[float] = []
    measures = usefulness_measures(
        LabelledImages(study.fresh_images, np.random.default_rng(0).permutation(study.fresh_labels)),
        LabelledImages(dataset.images[train], dataset.labels[train]),
        LabelledImages(dataset.images[test], dataset.labels[test]),
        10,
        seed=0,
        runtime=study.runtime,
        limit=300,
        tell=shares.append,
    )
    assert [measure.n for measure in measures] == [300, 300]
    assert shares == [0.0, 0.25, 0.5, 0.75]
    for measure in measures:
        assert measure.synthetic_accuracy < 0.35  # the labels were shuffled
        assert measure.real_accuracy > 0.8
        assert measure.real_confusion.sum() == pytest.approx(len(test))
