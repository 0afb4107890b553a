import math
import re

import numpy as np
import pytest

from reports.charts import MAX_POINTS, line_chart, wants_logarithm
from reports.data import Series
from tests.reports.pages import Page


def series(values: list[float], name: str = "loss", **others: str) -> Series:
    return Series(name=name, images_seen=[100.0 * index for index in range(len(values))], values=values, **others)  # type: ignore[arg-type]


def test_a_chart_is_named_and_described_for_those_who_cannot_see_it() -> None:
    page = Page(line_chart("c", [series([1.0, 3.0, 2.0])], title="Losses"))
    assert page.attributes_of("svg")[0]["aria-labelledby"] == "c-title c-desc"
    assert "loss: 3 values from 1.00 to 3.00, the last 2.00." in page.text


def test_a_long_series_is_thinned_and_smoothed() -> None:
    noisy = np.random.default_rng(0).standard_normal(50_000).tolist()
    page = Page(line_chart("c", [series(noisy)], title="Losses"))
    paths = [
        path["d"]
        for path in page.attributes_of("path")
        if path["class"].startswith("curve") and "M1 5" not in path["d"]
    ]
    assert len(paths) == 2
    assert all(1000 < len(re.findall("[ML]", path)) <= MAX_POINTS for path in paths)


def test_values_that_are_not_finite_break_the_line_and_are_marked() -> None:
    page = Page(line_chart("c", [series([1.0, math.nan, 2.0, math.inf, 3.0])], title="Losses"))
    assert page.count("svg", "cross") == 2
    assert page.attributes_of("path")[0]["d"].count("M") == 3
    assert "2 not finite, marked ×" in page.text


def test_thousands_of_nan_get_no_more_marks_than_can_be_seen() -> None:
    page = Page(line_chart("c", [series([1.0, *[math.nan] * 5000])], title="Losses"))
    assert page.count("svg", "cross") == 50


@pytest.mark.parametrize("values", [[], [math.nan, math.nan]])
def test_without_any_value_the_chart_says_so(values: list[float]) -> None:
    assert "no values were recorded" in Page(line_chart("c", [series(values)], title="Losses")).text


def test_no_series_at_all_is_said_too() -> None:
    assert "no values were recorded" in Page(line_chart("c", [], title="Losses")).text


def test_a_series_of_nothing_but_nan_stands_beside_another_one() -> None:
    page = Page(line_chart("c", [series([1.0, 2.0]), series([math.nan], name="lost")], title="Losses"))
    assert "lost: no finite value." in page.text


def test_a_single_point_is_drawn_as_a_dot() -> None:
    page = Page(line_chart("c", [series([0.5])], title="Losses"))
    assert page.count("circle", "dot") == 1
    assert page.attributes_of("path")[0]["d"].endswith("h0")


@pytest.mark.parametrize(("better", "best"), [("lower", "best 0.100"), ("higher", "best 0.900")])
def test_the_best_point_is_ringed(better: str, best: str) -> None:
    page = Page(line_chart("c", [series([0.5, 0.1, 0.9, math.nan], better=better)], title="Quality"))
    assert page.count("circle", "best") == 1
    assert best in page.text


def test_a_logarithmic_axis_counts_what_it_cannot_show() -> None:
    page = Page(line_chart("c", [series([100.0, 1.0, 0.0, -1.0])], title="Losses", logarithmic=True))
    assert "2 at or below 0 not shown" in page.text
    assert page.count("svg", "cross") == 0


def test_a_logarithm_is_wanted_for_a_wide_span_only() -> None:
    assert wants_logarithm([series([1.0, 20.0])])
    assert not wants_logarithm([series([1.0, 9.0])])
    assert not wants_logarithm([series([-1.0, -100.0])])
    assert not wants_logarithm([])


def test_names_are_escaped() -> None:
    text = line_chart("c", [series([1.0], name="<script>alert(1)</script>")], title='"><script>')
    assert "<script" not in text
    assert "<script>alert(1)</script>" in Page(text).text


def test_more_series_than_colours_go_round() -> None:
    page = Page(line_chart("c", [series([1.0, float(index)], name=f"s{index}") for index in range(9)], title="Losses"))
    assert page.count("circle", "series-2") == 4


def test_positions_far_along_are_labelled_with_suffixes() -> None:
    line = Series(name="loss", images_seen=[0.0, 2e6], values=[1.0, 2.0])
    assert re.search(r"500k 1M 1\.5M 2M", Page(line_chart("c", [line], title="Losses")).text)
