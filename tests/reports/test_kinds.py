"""What the page of each kind of job says that its operator looks for, and the page of a model."""

from dataclasses import replace

from reports.html import render
from reports.modelpage import render_model
from tests.reports import kinds
from tests.reports.pages import Page


def text_of(name: str) -> str:
    return Page(render(kinds.every_report()[name])).text


def test_animations_come_first() -> None:
    page = Page(render(kinds.animate_report()))
    assert [image["alt"] for image in page.attributes_of("img")][:2] == ["Animation 0", "Animation 1"]
    assert "It wrote 2 animations: 10,000 images in 5 shards." in page.text


def test_what_a_decompression_has_found() -> None:
    text = text_of("decompress")
    assert "It wrote 500 images, all as they were recorded." in text
    assert "As job 42 measured it when it wrote the files" in text
    other = kinds.decompress_report()
    assert other.decompress is not None
    other = replace(other, decompress=replace(other.decompress, verified=490, differing=10))
    assert "10 differ from those recorded, which were computed otherwise." in Page(render(other)).text


def test_a_failed_job_shows_the_end_of_its_log() -> None:
    text = text_of("failed")
    assert "Training failed after 12 min: OOM: CUDA is out of memory." in text
    assert "The end of its log Attempt 2: task 0 (train) on mill-2 reading ERROR a long line" in text


def test_a_running_job_says_how_far_it_is() -> None:
    assert "Training: 120,000 of 240,000 images (50%), about 4 min 50 s to go." in text_of("running")


def test_a_report_job_says_where_its_page_is() -> None:
    assert "page /srv/pixmill/reports/pipelines/night/run-3.html size 133 kB" in text_of("report")
    assert "Writing the page succeeded" in text_of("report")
    assert "The ping succeeded" in text_of("ping")


def test_tasks_and_attempts_are_told_apart() -> None:
    report = kinds.every_report()["ping"]
    assert "attempts 2" in Page(render(report)).text
    parted = replace(report, tasks=2, attempts=[replace(one, task=one.number - 1) for one in report.attempts])
    page = Page(render(parted)).text
    assert "attempts 2" not in page
    assert "attempt task state" in page


def test_a_model_page_has_a_chart_with_the_gate_and_a_table() -> None:
    page = Page(render_model(kinds.model_report()))
    assert "gate: at most 0.0500" in page.text
    assert "@1 @2 @3 kid@cnn-1a2b3c4d, n = 2,000 lower 0.0300 0.0120 0.0600" in page.text
    assert "digits is frozen" in page.text
    assert [image["alt"] for image in page.attributes_of("img")] == [f"Images of version {n}" for n in (1, 2, 3)]


def test_a_figure_that_never_moves_is_in_the_table_alone() -> None:
    report = kinds.model_report()
    (kid,) = report.measures
    flat = replace(kid, series=[replace(kid.series[0], values=[0.0, 0.0, 0.0])], levels=[], is_asked=False)
    page = Page(render_model(replace(report, measures=[flat])))
    assert page.count("svg", "plot") == 0
    assert "lower 0 0 0" in page.text


def test_pictures_beyond_the_size_are_left_out_and_told_of() -> None:
    report = kinds.model_report()
    whole = render_model(report)
    page = Page(render_model(report, max_bytes=len(whole.encode()) - 1))
    assert "2 of 3 versions are shown" in page.text
