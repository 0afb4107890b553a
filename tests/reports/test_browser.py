"""Pages of every kind in a real browser: nothing is asked for, nothing on the console, nothing that axe or a validator
of HTML finds, and no wider than a telephone."""

import json
from pathlib import Path

import pytest

from pages.night import night_report
from reports.html import write
from reports.modelpage import write_model
from reports.nightpage import write_night
from storage.paths import Layout
from tests.browsing import node, problems
from tests.pages.nights import promoted_night
from tests.reports import kinds

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

LARGEST_BYTES = 10_000_000


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A report of every kind of job, of a job in every state, of a model and of a night."""
    folder = tmp_path_factory.mktemp("pages")
    found = [write(report, folder / f"{name}.html") for name, report in kinds.every_report().items()]
    found.append(write_model(kinds.model_report(), folder / "model.html"))
    night = night_report(promoted_night(folder / "storage"), Layout(folder / "storage"))
    return [*found, write_night(night, folder / "night.html")]


def test_pages_in_light_and_dark_and_on_a_telephone(pages: list[Path], chromium: str) -> None:
    assert problems(f"file://{pages[0].parent}", chromium, [f"/{page.name}" for page in pages]) == ""


def test_pages_are_valid_and_small(pages: list[Path], chromium: str) -> None:
    found = json.loads(node(Path(__file__).with_name("validate.mjs"), *map(str, pages)))
    assert not found, "\n".join(": ".join(words) for words in found)
    assert all(page.stat().st_size <= LARGEST_BYTES for page in pages)
