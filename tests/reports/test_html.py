import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reports.data import (
    CaptionedImage,
    Confusion,
    EvaluateSection,
    GenerateSection,
    Grid,
    JobReport,
    MetricLine,
    NeighbourRow,
    Series,
    TrainSection,
)
from reports.errors import ReportError
from reports.history import AttemptLine, EventLine
from reports.html import render, write
from tests.reports import examples
from tests.reports.pages import Page, pixels_of

HOSTILE = "<script>alert('1')</script>\"><img src=x onerror=alert(2)>&amp;{{ 7 * 7 }}</style>]]>--><!--"
ANY_CHARACTER = st.characters(exclude_categories=[]) | st.sampled_from("<>&\"'`{}%#\x00\ud800\u202e")
START = datetime(2026, 3, 14, tzinfo=UTC)
EXAMPLES = [examples.train_report, examples.generate_report, examples.evaluate_report, examples.compress_report]


def bare(**others: Any) -> JobReport:
    fields: dict[str, Any] = {"job_id": 1, "name": "a", "kind": "train", "state": "succeeded", "created_at": START}
    return JobReport(**{**fields, **others})


def noise(count: int, side: int = 200) -> list[npt.NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (side, side, 3), np.uint8) for _ in range(count)]


def grids_of(images: list[npt.NDArray[np.uint8]]) -> list[Grid]:
    return [Grid(images_seen=1000 * (index + 1), image=image) for index, image in enumerate(images)]


def hostile_report(word: str) -> JobReport:
    """Give a report that has the word wherever a text can stand."""
    image = examples.noisy_grid(0.5)
    line = Series(name=word, images_seen=[1, 2], values=[1.0, 2.0], better="lower")
    metric = MetricLine(name=word, value=1.0, n=10, better="lower", floor=0.0, copies=0.5, ceiling=2.0)
    return bare(
        job_id=word, name=word, kind=word, state=word, reason=word, spec={word: [word]},
        attempts=[AttemptLine(number=1, state=word, worker=word, device=word, reason=word)],
        events=[EventLine(at=START, what=word, who=word, why=word)],
        train=TrainSection(losses=[line], quality=line, model={word: {word: word}}, warnings=[word]),
        generate=GenerateSection(
            images=1, images_planned=1, shards=1, shards_planned=1, size_bytes=1, bound_by=word, counts={word: 1},
            manifest_rows=[{word: word}], model={word: word}, output=word, verify_hint=word, warnings=[word],
            images_per_second=1.0,
        ),
        evaluate=EvaluateSection(
            metrics=[metric], per_class_accuracy={word: 0.5}, per_class_accuracy_real={word: 0.6},
            confusion=Confusion(classes=[word], counts=[[1]]), warnings=[word],
            neighbours=[NeighbourRow(generated=image, nearest=[image], distances=[1.0])],
        ),
        pictures=[CaptionedImage(caption=word, image=image), CaptionedImage(caption=word, image=Path("gone.png"))],
    )  # fmt: skip


@pytest.mark.parametrize("make", EXAMPLES)
def test_a_page_is_whole_and_fetches_nothing(make: Callable[[], JobReport]) -> None:
    text = render(make())
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>")
    assert "http:" not in text.replace('http-equiv="Content', "")
    assert "https:" not in text
    assert {tag for tag, _ in page.elements}.isdisjoint(
        {"script", "link", "iframe", "object", "embed", "a", "form", "base"}
    )
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert "url(" not in text
    assert all(image["src"].startswith("data:image/webp;base64,") for image in page.attributes_of("img"))


def test_the_policy_allows_inline_styles_and_embedded_pictures_alone() -> None:
    page = Page(render(bare()))
    policies = [
        meta["content"] for meta in page.attributes_of("meta") if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


@pytest.mark.parametrize("make", EXAMPLES)
def test_every_picture_has_a_text_and_every_chart_a_name(make: Callable[[], JobReport]) -> None:
    page = Page(render(make()))
    assert all(image["alt"] for image in page.attributes_of("img"))
    named = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    charts = [svg for svg in page.attributes_of("svg") if "aria-labelledby" in svg]
    assert charts
    assert all(set(svg["aria-labelledby"].split()) <= named for svg in charts)


def test_the_same_report_gives_the_same_page() -> None:
    for make in EXAMPLES:
        assert render(make()) == render(make())


def test_hostile_text_is_shown_and_not_obeyed() -> None:
    text = render(hostile_report(HOSTILE))
    page = Page(text)
    assert "<script" not in text
    assert "<img src=x" not in text
    assert page.text.count("<script>alert('1')</script>") > 30
    assert "{{ 7 * 7 }}" in page.text
    assert not any("onerror" in attributes for _, attributes in page.elements)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.text(
        st.characters(exclude_categories=[]) | st.sampled_from("<>&\"'`{}%#\x00\ud800\u202e"), min_size=1, max_size=30
    )
)
def test_any_text_at_all_gives_a_whole_page(word: str) -> None:
    text = render(hostile_report(word))
    Page(text)
    assert text.encode("utf-8")
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)


def test_a_report_of_nothing_but_a_failure_stands_alone() -> None:
    page = Page(render(bare(state="failed", reason="DatasetMissing: no folder cats")))
    assert "Training failed: DatasetMissing: no folder cats." in page.text
    assert "No events were recorded." in page.text


def test_sections_without_content_are_left_away() -> None:
    section = EvaluateSection()
    empty = GenerateSection(images=0, images_planned=0, shards=0, shards_planned=0, size_bytes=0)
    page = Page(render(bare(train=TrainSection(), evaluate=section, generate=empty)))
    assert page.attributes_of("img") == []
    assert "Metrics" not in page.text


def test_one_class_one_point_and_nan_are_shown() -> None:
    line = Series(name="loss", images_seen=[1], values=[float("nan")])
    evaluate = EvaluateSection(
        per_class_accuracy={"only": 1.0},
        confusion=Confusion(classes=["only"], counts=[[0]]),
        metrics=[MetricLine(name="kd", value=float("nan"), n=0, better="lower")],
    )
    page = Page(render(bare(train=TrainSection(losses=[line], quality=line), evaluate=evaluate)))
    assert "no values were recorded" in page.text
    assert "not a number" in page.text


def test_a_confusion_table_of_very_many_classes_is_named_instead_of_drawn() -> None:
    names = [f"c{index}" for index in range(60)]
    table = Confusion(classes=names, counts=np.eye(60, dtype=int).tolist())
    page = Page(render(bare(evaluate=EvaluateSection(confusion=table))))
    assert "The confusion table of 60 classes is left out; up to 50 can be shown." in page.text
    assert page.count("table", "confusion") == 0


def test_the_latest_grid_comes_first_and_twelve_frames_follow() -> None:
    images = noise(30, side=16)
    page = Page(render(bare(train=TrainSection(grids=grids_of(images)[::-1]))))
    pictures = page.attributes_of("img")
    assert len(pictures) == 1 + 12
    assert np.array_equal(pixels_of(pictures[0]["src"]), images[-1])
    assert np.array_equal(pixels_of(pictures[1]["src"]), images[0])
    assert np.array_equal(pixels_of(pictures[-1]["src"]), images[-1])
    assert "12 of 30 frames are shown" in page.text


def test_a_page_keeps_to_its_limit_by_leaving_out_frames_from_the_middle() -> None:
    images = noise(10)
    text = render(bare(train=TrainSection(grids=grids_of(images))), max_bytes=1_000_000)
    page = Page(text)
    assert 600_000 < len(text.encode()) <= 1_000_000
    pictures = page.attributes_of("img")
    assert np.array_equal(pixels_of(pictures[1]["src"]), images[0])
    assert np.array_equal(pixels_of(pictures[-1]["src"]), images[-1])
    assert f"{len(pictures) - 1} of 10 frames are shown" in page.text


def test_a_page_whose_text_is_long_leaves_room_for_it() -> None:
    events = [EventLine(at=START, what="x" * 1500) for _ in range(400)]
    text = render(bare(train=TrainSection(grids=grids_of(noise(6))), events=events), max_bytes=1_200_000)
    assert len(text.encode()) <= 1_200_000
    assert len(Page(text).attributes_of("img")) >= 1


def test_a_picture_that_does_not_fit_is_named_in_its_place() -> None:
    page = Page(render(bare(train=TrainSection(reals=noise(1)[0])), max_bytes=100_000))
    assert "Real training images: left out to keep the report small: it takes" in page.text


def test_text_beyond_the_limit_is_an_error() -> None:
    with pytest.raises(ReportError, match="text of the report of job 1 alone takes"):
        render(bare(), max_bytes=1000)


def test_long_tables_and_specifications_are_cut_and_say_so() -> None:
    events = [EventLine(at=START, what="tick") for _ in range(501)]
    page = Page(render(bare(events=events, spec={"list": ["x" * 200_000]})))
    assert "The first 500 of 501." in page.text
    assert "more characters" in page.text


def test_a_broken_picture_file_does_not_stop_the_report(tmp_path: Path) -> None:
    (tmp_path / "grid.png").write_bytes(b"")
    section = TrainSection(grids=[Grid(images_seen=1000, image=tmp_path / "grid.png")])
    page = Page(render(bare(state="failed", train=section)))
    assert "neither PNG nor WebP: grid.png" in page.text
    assert str(tmp_path) not in page.text


def test_a_time_without_zone_is_an_error() -> None:
    with pytest.raises(ReportError, match="has no time zone"):
        render(bare(created_at=datetime(2026, 1, 1)))  # noqa: DTZ001


def test_the_page_is_written_in_one_step(tmp_path: Path) -> None:
    report = examples.generate_report()
    path = write(report, tmp_path / "report.html")
    assert path.read_text(encoding="utf-8") == render(report)
    assert list(tmp_path.iterdir()) == [path]


def test_a_report_that_cannot_be_made_leaves_the_old_page(tmp_path: Path) -> None:
    path = write(bare(), tmp_path / "report.html")
    before = path.read_bytes()
    with pytest.raises(ReportError):
        write(replace(bare(), name="new"), path, max_bytes=10)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write(bare(), tmp_path / "missing" / "report.html")


def test_a_classifier_shows_how_it_does_on_each_class() -> None:
    table = Confusion(classes=["cat", "dog"], counts=[[3, 1], [0, 4]])
    section = TrainSection(confusion=table, per_class_accuracy={"cat": 0.75, "dog": 1.0})
    page = Page(render(bare(train=section)))
    assert "Held-out images" in page.text
    assert "weakest class 75% cat" in page.text
    assert page.count("table", "confusion") == 1
    assert "Held-out images" not in Page(render(bare(train=TrainSection()))).text
