"""The pages of runs lie where their readers look for them, and the last of a pipeline never goes back."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import repeat
from pathlib import Path

import pytest

from pixmill.errors import PathEscape, StorageError
from storage.paths import Layout
from storage.runpages import LATEST, publish_page

FOLDER = "reports/pipelines/night"


def written(root: Path, run_id: int, text: str = "") -> str:
    path = root / "runs" / str(run_id) / text / "page.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"run {run_id} {text}".strip())
    return str(path.relative_to(root))


def test_a_page_gets_its_place_and_is_replaced(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    for text in ("", "again"):
        assert publish_page(layout, written(tmp_path, 3, text), "night", 3) == f"{FOLDER}/run-3.html"
    for name in ("run-3.html", LATEST):
        assert (tmp_path / FOLDER / name).read_text() == "run 3 again"
    assert {path.name for path in (tmp_path / FOLDER).iterdir()} == {"run-3.html", LATEST}


def test_the_page_of_an_earlier_run_does_not_become_the_last(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    for run_id in (9, 10, 2):
        publish_page(layout, written(tmp_path, run_id), "night", run_id)
    assert (tmp_path / FOLDER / LATEST).read_text() == "run 10"
    publish_page(layout, written(tmp_path, 1), "day", 1)
    assert (tmp_path / FOLDER / LATEST).read_text() == "run 10"


def test_whoever_comes_last_the_newest_run_stays(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        for first in range(1, 80, 8):
            pages = {run_id: written(tmp_path, run_id) for run_id in range(first, first + 8)}
            list(pool.map(partial(publish_page, layout), pages.values(), repeat("night"), pages))
            assert (tmp_path / FOLDER / LATEST).read_text() == f"run {max(pages)}"


def test_no_name_leads_out_of_the_root(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "root")
    with pytest.raises(PathEscape):
        publish_page(layout, "../page.html", "night", 1)
    with pytest.raises(PathEscape):
        publish_page(layout, written(tmp_path / "root", 1), "../night", 1)


def test_a_page_that_is_gone_leaves_the_one_before(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    publish_page(layout, written(tmp_path, 3), "night", 3)
    with pytest.raises(StorageError):
        publish_page(layout, "runs/4/page.html", "night", 4)
    assert (tmp_path / FOLDER / LATEST).read_text() == "run 3"
