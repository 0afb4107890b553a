import numpy as np
import pytest

from imagemodels.selection import Images, Integers, Verdict, picked

TRIES = 7


class Deck:
    """Candidates whose score is drawn beforehand; an image shows its row and its number."""

    def __init__(self, rows: int, seed: int, least: float) -> None:
        self.scores = np.random.default_rng(seed).integers(0, 20, (rows, TRIES)) / 20  # equal ones happen
        self.least = least
        self.drawn = 0

    def draw(self, rows: Integers, numbers: Integers) -> Images:
        self.drawn += len(rows)
        return np.stack((rows, numbers), 1).astype(np.uint8)

    def judge(self, rows: Integers, images: Images) -> Verdict:
        scores = self.scores[rows, images[:, 1]]
        return Verdict(scores >= self.least, scores)

    def expected(self, row: int) -> tuple[int, bool]:
        """One candidate after the other, as a person would look at them."""
        best = 0
        for number, score in enumerate(self.scores[row]):
            if score >= self.least:
                return number, True
            if score > self.scores[row, best]:
                best = number
        return best, False


@pytest.mark.parametrize("at_once", [1, 4, 30, 1000])
@pytest.mark.parametrize("least", [0.0, 0.8, 0.95])
def test_the_first_good_candidate_is_taken_or_else_the_best(at_once: int, least: float) -> None:
    deck = Deck(25, seed=3, least=least)
    found = picked(25, TRIES, at_once, deck.draw, deck.judge)
    expected = [deck.expected(row) for row in range(25)]
    assert found.candidates.tolist() == [number for number, _passed in expected]
    assert found.accepted.tolist() == [passed for _number, passed in expected]
    assert found.images.tolist() == [[row, number] for row, (number, _passed) in enumerate(expected)]
    assert np.array_equal(found.scores, deck.scores[np.arange(25), found.candidates])


def test_what_is_good_is_drawn_once() -> None:
    deck = Deck(25, seed=3, least=0.0)
    picked(25, TRIES, 25, deck.draw, deck.judge)
    assert deck.drawn == 25


def test_without_scores_the_first_of_those_that_fail_is_left() -> None:
    found = picked(
        2,
        TRIES,
        1,
        lambda _rows, numbers: numbers.astype(np.uint8)[:, None],
        lambda rows, _images: Verdict(rows == 1, np.full(len(rows), np.nan)),
    )
    assert found.candidates.tolist() == [0, 0]
    assert found.accepted.tolist() == [False, True]
