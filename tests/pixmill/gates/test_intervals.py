import math

import numpy as np
import pytest
from scipy import stats

from pixmill.gates.intervals import _STUDENT, CONFIDENCE, interval
from pixmill.gates.limits import MOST_SEEDS


def test_there_is_a_quantile_for_every_number_of_seeds() -> None:
    degrees = np.arange(1, MOST_SEEDS)
    assert pytest.approx(stats.t.ppf(0.5 + CONFIDENCE / 2, degrees), abs=5e-5) == _STUDENT


def test_the_interval_is_students() -> None:
    values = (0.3, 0.5, 0.1, 0.9)
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    found = interval(values)
    assert [found.low, found.high] == pytest.approx([low, high], rel=1e-4)


def test_it_holds_the_mean_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    drawn = [interval(row.tolist()) for row in generator.normal(3.0, 2.0, (4_000, 3))]
    share = np.mean([found.low <= 3.0 <= found.high for found in drawn])
    assert share == pytest.approx(0.95, abs=0.015)


def test_edges() -> None:
    assert interval((2.0,)).half == math.inf
    assert interval((2.0,), is_exact=True).half == 0
    assert interval((2.0, 2.0)).half == 0
    assert math.isnan(interval((2.0, math.nan)).mean)
    assert math.isnan(interval((2.0, math.inf)).mean)
