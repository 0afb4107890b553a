import math

import pytest

from reports.bars import bar_chart, metric_strip, strip_mark
from reports.data import MetricLine
from reports.numbers import percent_text
from tests.reports.pages import Page


def metric(value: float, **controls: float | None) -> MetricLine:
    return MetricLine(name="fd@net", value=value, n=1000, better="lower", **controls)


def places(page: Page) -> dict[str, float]:
    marks = [attributes for attributes in page.attributes_of("svg") if attributes.get("class") == "mark"]
    kinds = [shape for tag in ("path", "circle") for shape in page.attributes_of(tag)]
    assert len(marks) == len(kinds)
    order = [attributes["class"] for tag, attributes in page.elements if tag in {"path", "circle"}]
    return {kind: float(mark["x"].rstrip("%")) for kind, mark in zip(order, marks, strict=True)}


def test_bars_are_as_long_as_their_share_of_the_greatest() -> None:
    page = Page(bar_chart("b", {"cat": 50.0, "dog": 100.0}, title="Counts", text=str))
    assert [bar["width"] for bar in page.attributes_of("rect") if bar["class"] == "bar"] == ["50.00%", "100.00%"]


def test_one_class_of_nothing_is_drawn() -> None:
    page = Page(bar_chart("b", {"only": 0.0}, title="Counts", text=str))
    assert page.count("rect", "bar") == 1


def test_no_class_is_said() -> None:
    assert "no classes" in Page(bar_chart("b", {}, title="Counts", text=str)).text


def test_values_out_of_range_do_not_leave_the_chart() -> None:
    values = {"above": 1.5, "below": -0.5, "nan": math.nan}
    page = Page(bar_chart("b", values, title="Accuracy", text=percent_text, full=1.0))
    assert [bar["width"] for bar in page.attributes_of("rect") if bar["class"] == "bar"] == [
        "100.00%",
        "0.00%",
        "0.00%",
    ]
    assert "not a number" in page.text


def test_of_many_classes_the_lowest_are_shown_and_the_rest_is_counted() -> None:
    values = {f"class {index}": float(index) for index in range(1000)}
    page = Page(bar_chart("b", values, title="Counts", text=str))
    assert page.count("rect", "bar") == 40
    assert "The 40 lowest of 1,000 classes" in page.text
    assert "class 39:" in page.text
    assert "class 40" not in page.text


def test_long_and_hostile_names_are_shortened_and_escaped() -> None:
    name = "<script>" + "x" * 100
    text = bar_chart("b", {name: 1.0}, title="Counts", text=str)
    assert "<script" not in text
    assert "<script>xxxxxxx…" in Page(text).text


def test_references_are_marked_where_they_are_known() -> None:
    page = Page(
        bar_chart("b", {"cat": 0.5, "dog": 0.5}, title="Accuracy", text=percent_text, full=1.0, references={"cat": 0.9})
    )
    assert [line["x1"] for line in page.attributes_of("line")] == ["90.00%"]


def test_the_strip_orders_value_and_controls() -> None:
    found = places(Page(metric_strip(metric(2.0, floor=0.0, copies=1.0, ceiling=10.0))))
    assert found == {"mark-real": 0.0, "mark-copies": 10.0, "mark-noise": 100.0, "mark-value": 20.0}


def test_controls_far_apart_get_a_logarithmic_strip() -> None:
    page = Page(metric_strip(metric(10.0, floor=1.0, ceiling=100.0)))
    assert places(page)["mark-value"] == pytest.approx(50.0)
    assert "log" in page.text


@pytest.mark.parametrize(
    "line", [metric(1.0), metric(1.0, floor=1.0), metric(math.nan, floor=0.0, ceiling=1.0), metric(1.0, floor=math.inf)]
)
def test_a_strip_without_anything_to_compare_says_so(line: MetricLine) -> None:
    assert "no control to compare with" in Page(metric_strip(line)).text


def test_the_legend_knows_every_mark() -> None:
    assert len({strip_mark(kind) for kind in ("real", "copies", "noise", "value")}) == 4
