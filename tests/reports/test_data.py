import math

import pytest

from reports.data import Confusion, Series
from reports.errors import ReportError


def test_a_series_needs_one_value_for_each_position() -> None:
    with pytest.raises(ReportError, match="'loss' has 2 positions but 1 values"):
        Series(name="loss", images_seen=[0, 1], values=[0.5])


def test_a_series_needs_finite_positions() -> None:
    with pytest.raises(ReportError, match="not a finite number of images"):
        Series(name="loss", images_seen=[math.nan], values=[0.5])


def test_the_best_is_the_earliest_of_equals_and_never_nan() -> None:
    values = [math.nan, 2.0, 1.0, 1.0, -math.inf]
    line = Series(name="q", images_seen=range(5), values=values, better="lower")
    assert line.best() == (2, 1.0)


def test_a_series_without_direction_or_value_has_no_best() -> None:
    assert Series(name="q", images_seen=[0], values=[1.0]).best() is None
    assert Series(name="q", images_seen=[0], values=[math.nan], better="higher").best() is None


@pytest.mark.parametrize("counts", [[], [[1, 2]], [[1], [2]]])
def test_a_confusion_table_is_square(counts: list[list[int]]) -> None:
    with pytest.raises(ReportError, match="2 classes needs 2 rows of 2"):
        Confusion(classes=["cat", "dog"], counts=counts)
