import numpy as np
import numpy.typing as npt
import pytest

from imagemodels.forests.trees import FAR, Tree, grow, undivided

Rows = npt.NDArray[np.float32]


def crossed(count: int) -> tuple[Rows, Rows]:
    """Real rows whose two first features agree, and made ones whose features do not."""
    random = np.random.default_rng(0)
    real = random.normal(size=(count, 4)).astype(np.float32)
    real[:, 1] = real[:, 0] + 0.1 * real[:, 1]
    return real, np.stack([random.permutation(column) for column in real.T], axis=1)


def boxes_around(tree: Tree, points: Rows) -> npt.NDArray[np.bool_]:
    """Which leaves (N, L) hold each point, looked for one by one: cuts are ≤ on the left side."""
    return np.array([[((point > low) & (point <= up)).all() for low, up in zip(tree.lower, tree.upper, strict=True)]
                     for point in points])  # fmt: skip


@pytest.mark.parametrize("leaf_rows", [1, 5, 40])
def test_every_row_is_in_the_one_box_of_its_leaf_and_no_leaf_is_too_small(leaf_rows: int) -> None:
    real, made = crossed(200)
    tree, _ = grow(real, made, leaf_rows, 3)
    assert tree.counts.min() >= leaf_rows
    assert tree.counts.sum() == 200
    inside = boxes_around(tree, real)
    assert (inside.sum(1) == 1).all()
    assert np.array_equal(inside.argmax(1), tree.cells)


def test_the_boxes_fill_the_space_without_overlap() -> None:
    tree, _ = grow(*crossed(200), 5, 3)
    points = np.random.default_rng(1).normal(scale=5, size=(300, 4)).astype(np.float32)
    assert len(tree.lower) > 5
    assert (boxes_around(tree, points).sum(1) == 1).all()


def test_a_tree_is_judged_by_rows_that_it_has_not_seen() -> None:
    real, _ = crossed(400)
    _, verdict = grow(real, real + np.float32(4), 2, 3)
    assert len(verdict.rows) == pytest.approx(800 * np.exp(-1), rel=0.15)  # what a bootstrap leaves out
    told = (verdict.reality > 0.5) == (verdict.rows < 400)
    assert told.mean() > 0.95
    # A tree knows by heart the rows that it grew from: to ask them would say that every forest sees through anything.
    shuffled = np.random.default_rng(5).permutation(np.concatenate([real, real]))
    _, blind = grow(shuffled[:400], shuffled[400:], 2, 3)
    assert ((blind.reality > 0.5) == (blind.rows < 400)).mean() < 0.6


def test_the_same_seed_grows_the_same_tree() -> None:
    (first, _), (second, _), (other, _) = (grow(*crossed(100), 3, seed) for seed in (3, 3, 4))
    assert np.array_equal(first.lower, second.lower)
    assert first.lower.shape != other.lower.shape or not np.array_equal(first.lower, other.lower)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_too_few_rows_are_one_leaf(count: int) -> None:
    real = np.arange(2 * count, dtype=np.float32).reshape(count, 2)
    tree, verdict = grow(real, real, 5, 0)
    assert tree.counts.tolist() == [count]
    assert np.array_equal(tree.upper, np.full((1, 2), FAR))
    assert len(verdict.rows) == len(verdict.reality)
    assert np.array_equal(undivided(real).lower, tree.lower)
