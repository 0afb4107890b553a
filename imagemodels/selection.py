"""Of numbered candidates for each image the first that is good enough. Free of torch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Verdict:
    """What is thought of candidates: whether each passes (N,), and how good it is (N,), NaN where nothing says so."""

    passes: Flags
    scores: Numbers


@dataclass(frozen=True)
class Picked:
    """The candidates that were taken: images (N, H, W, C), their numbers, scores, and whether they passed (N,)."""

    images: Images
    candidates: Integers
    scores: Numbers
    accepted: Flags


Draw = Callable[[Integers, Integers], Images]  # rows (M,) and numbers (M,) of candidates to images (M, H, W, C)
Judge = Callable[[Integers, Images], Verdict]  # rows (M,) and images (M, H, W, C)


def picked(count: int, tries: int, at_once: int, draw: Draw, judge: Judge) -> Picked:
    """Take for each of ``count`` rows the first of its candidates 0, 1, … that passes; of ``tries`` none, the best.

    Of equally good ones the first is the best. Rows that still wait are drawn ``at_once`` candidates together, several
    of each row when they are few: that is faster, and what is taken does not depend on it.
    """
    waiting, first = np.arange(count, dtype=np.int64), 0
    found: Picked | None = None
    while len(waiting) and first < tries:
        each = min(tries - first, max(1, at_once // len(waiting)))
        rows, numbers = np.repeat(waiting, each), np.tile(np.arange(first, first + each), len(waiting))
        images = draw(rows, numbers)
        verdict = judge(rows, images)
        places, passed = _first_or_best(verdict, each)
        of_round = Picked(images[places], numbers[places], verdict.scores[places], passed)
        found = _updated(found, waiting, of_round) if found is not None else of_round
        waiting = waiting[~passed]
        first += each
    assert found is not None  # there are rows, and each may be tried once
    return found


def _first_or_best(verdict: Verdict, each: int) -> tuple[Integers, Flags]:
    """Where the candidate of each row is that is taken (R,), and whether it passes (R,)."""
    passes_RE, scores_RE = verdict.passes.reshape(-1, each), _known(verdict.scores).reshape(-1, each)
    passed: Flags = np.any(passes_RE, axis=1)
    places = np.where(passed, passes_RE.argmax(1), scores_RE.argmax(1))
    return np.arange(len(places)) * each + places, passed


def _updated(found: Picked, waiting: Integers, of_round: Picked) -> Picked:
    """What was found, with what is better of the rows that still waited."""
    better = of_round.accepted | (_known(of_round.scores) > _known(found.scores[waiting]))
    rows = waiting[better]

    def laid_over(old: npt.NDArray[Any], new: npt.NDArray[Any]) -> npt.NDArray[Any]:
        old[rows] = new[better]
        return old

    return Picked(
        laid_over(found.images, of_round.images),
        laid_over(found.candidates, of_round.candidates),
        laid_over(found.scores, of_round.scores),
        laid_over(found.accepted, of_round.accepted),
    )


def _known(scores: Numbers) -> Numbers:
    return np.nan_to_num(scores, nan=-np.inf)
