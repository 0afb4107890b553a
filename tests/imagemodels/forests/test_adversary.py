import numpy as np
import numpy.typing as npt
import pytest

from imagemodels.forests.adversary import SMALLEST_DEVIATION, Adversary, Votes, density, made_rows
from imagemodels.forests.trees import Verdict, grow, undivided

Rows = npt.NDArray[np.float32]


def twins(count: int) -> Rows:
    """Rows whose two features are both near -1 or both near 1."""
    random = np.random.default_rng(0)
    signs = np.sign(random.normal(size=(count, 1)))
    rows: Rows = (signs + 0.1 * random.normal(size=(count, 2))).astype(np.float32)
    return rows


def strangers(count: int) -> Rows:
    """Rows whose features know nothing of each other."""
    return np.random.default_rng(0).normal(size=(count, 3)).astype(np.float32)


def grown(real: Rows, rounds: int, trees: int = 8) -> Adversary:
    forest = Adversary.against(real, 1)
    for number in range(rounds):
        for tree in range(trees):
            forest.add_tree(3, 100 * number + tree)
        forest.end_round(0.0, number)
    return forest


def mixed(rows: Rows) -> float:
    """The share of rows whose two first features have different signs."""
    return float((rows[:, 0] * rows[:, 1] < 0).mean())


def test_votes_are_counted_by_majority_with_halves_for_ties() -> None:
    votes = Votes.none(2)  # rows 0 and 1 are real, 2 and 3 made
    votes.add(Verdict(np.array([0, 2]), np.array([0.9, 0.2])))
    votes.add(Verdict(np.array([0, 1, 2]), np.array([0.4, 0.1, 0.8])))
    # Row 0: 1.3 of 2, right. Row 1: 0.1 of 1, wrong. Row 2: 1.0 of 2, a tie. Row 3: never asked.
    assert (votes.right, votes.counted) == (1.5, 3)


def test_made_rows_of_one_leaf_keep_the_marginals_and_lose_the_rest() -> None:
    real = twins(2000)
    made = made_rows([undivided(real)], real, 4)
    assert made.shape == real.shape
    assert set(made[:, 0]) <= set(real[:, 0])
    assert made.mean(0) == pytest.approx(real.mean(0), abs=0.1)
    assert mixed(made) == pytest.approx(0.5, abs=0.05)
    assert mixed(real) == 0.0


def test_made_rows_take_each_feature_from_the_leaf_that_was_drawn() -> None:
    real = twins(2000)
    trees = [grow(real, made_rows([undivided(real)], real, 4), 5, seed)[0] for seed in range(3)]
    made = made_rows(trees, real, 4)
    assert mixed(made) < 0.05
    for tree in trees[:1]:
        alone = made_rows([tree], real, 4)
        members = [set(real[tree.cells == cell, 0]) & set(alone[:, 0]) for cell in range(len(tree.lower))]
        assert sum(map(len, members)) == len(set(alone[:, 0]))
    shares = [float((made[:, 0] > 0).mean()), float((real[:, 0] > 0).mean())]
    assert shares[0] == pytest.approx(shares[1], abs=0.05)  # large leaves are drawn more often


def test_it_goes_on_until_the_trees_cannot_tell() -> None:
    first = grown(twins(300), 1)
    assert not first.has_converged
    assert mixed(first.made) < 0.1
    later = grown(twins(300), 2)
    assert later.has_converged
    # What stands is the forest whose rows deceived, not the one that was deceived.
    assert all(np.array_equal(a.lower, b.lower) for a, b in zip(first.standing, later.standing, strict=True))


def test_features_that_know_nothing_of_each_other_converge_at_once() -> None:
    assert grown(strangers(300), 2).has_converged


def test_accuracy_tells_a_forest_that_sees_through_from_one_that_guesses() -> None:
    seeing, guessing = Adversary.against(twins(300), 1), Adversary.against(strangers(300), 1)
    for forest in (seeing, guessing):
        assert forest.accuracy == 0.5  # nobody was asked
        for seed in range(8):
            forest.add_tree(3, seed)
    assert seeing.accuracy > 0.56
    assert guessing.accuracy < 0.53


def test_the_density_of_a_leaf_is_that_of_its_rows() -> None:
    real = twins(100)
    tree = grow(real, made_rows([undivided(real)], real, 4), 5, 0)[0]
    found = density([tree, undivided(real)], real)
    for cell in range(len(tree.lower)):
        members = real[tree.cells == cell]
        assert found.counts[cell] == len(members)
        assert found.mean[cell] == pytest.approx(members.mean(0), abs=1e-5)
        assert found.deviation[cell] == pytest.approx(members.std(0, ddof=1), rel=1e-3)
        assert np.array_equal(found.lower[cell], tree.lower[cell])
    assert found.counts[-1] == 100
    assert found.mean[-1] == pytest.approx(real.mean(0), abs=1e-5)


def test_a_leaf_of_equal_rows_has_a_density_all_the_same() -> None:
    equal = np.ones((4, 2), dtype=np.float32)
    assert (density([undivided(equal)], equal).deviation == SMALLEST_DEVIATION).all()
    alone = density([undivided(equal[:1])], equal[:1])
    assert (alone.deviation == SMALLEST_DEVIATION).all()
