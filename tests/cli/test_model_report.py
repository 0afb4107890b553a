"""`model report`: what the rows and files of a line of models make of its page."""

from pathlib import Path

import numpy as np
import pytest

from client.modelreport.building import build_model_report
from db.aliases import Deed, promote
from pixmill import __version__
from reports.modelline import ModelReport
from storage.pictures import contact_sheet, save_png
from tests.cli.gating import NET, gated, two_versions
from tests.cli.running import Runner
from tests.cli.world import World
from tests.reports.pages import Page

NAME = "digits-vae"


def report_of(world: World) -> ModelReport:
    with world.database.read() as session:
        return build_model_report(session, world.settings, NAME)


@pytest.fixture
def line(world: World, run: Runner) -> World:
    """Two versions, the second of which a gate has let become champion, with what trainings and gates leave behind."""
    two_versions(world)
    for job in (1, 2):
        (folder,) = world.root.glob(f"runs/{job}/*/1")
        (folder / "model").mkdir()
        (folder / "model" / "weights.safetensors").write_bytes(b"w" * 1000 * job)
        for seen in (0, 9):
            pixels = np.full((4, 8, 8, 1), 20 * job + seen, np.uint8)
            save_png(folder / f"samples-{seen:09d}.png", contact_sheet(pixels))
    world.generated(world.worker(), f"{NAME}@1", name="the-first-forty")
    gated(world, run)
    deed = Deed(actor="olga", reason="the verdict is PROMOTE")
    world.database.transact(lambda session: promote(session, f"{NAME}@2", "champion", deed))
    return world


def test_the_page_tells_what_became_of_each_version(line: World, run: Runner, tmp_path: Path) -> None:
    found = run("model", "report", NAME, "--out", tmp_path / "line.html")
    assert (found.code, found.out) == (0, f"{tmp_path / 'line.html'}\n"), found.err
    text = Page((tmp_path / "line.html").read_text(encoding="utf-8")).text
    for words in (
        f"{NAME}@2 is champion since",
        f"by olga (the verdict is PROMOTE); {NAME}@1 was before it.",
        f"The last verdict is PROMOTE, on {NAME}@2 against {NAME}@1.",
        "in 1 data set",
        "@2 champion",
        "@1 previous",
        f"kid@{NET}, n = 100",
        "The last gate asks: worse than the champion by no more than",
        f"pixmill {__version__} · as of",
        "the-first-forty generate @1 succeeded 40",
        "the seed 1 kB vae",
        "the seed 2 kB vae",
    ):
        assert words in text, words


def test_pictures_and_figures_compare_where_they_can(line: World, run: Runner) -> None:
    report = report_of(line)
    gate, training = report.pictures
    assert [shown.version for shown in gate.pictures] == [1, 2]
    assert "zero, one" in gate.told
    assert [(shown.version, shown.note) for shown in training.pictures] == [
        (1, "10k images, was champion"),
        (2, "10k images, champion"),
    ]
    assert all(Path(str(shown.image)).name == "samples-000000009.png" for shown in training.pictures)
    measures = {one.measure: one for one in report.measures}
    assert list(measures) == ["kid", "kd"]
    (series,) = measures["kid"].series
    assert (series.name, list(series.images_seen), list(series.values)) == (
        f"kid@{NET}, n = 100",
        [1, 2],
        [0.0155, 0.012],
    )
    assert measures["kd"].asked == "No gate asks for it."
    (own,) = measures["kd"].series
    assert list(own.values) == [0.0123, 0.0123]

    # Another seed is another noise.
    assert run("submit", "train", "--model", "vae", "--dataset", "digits", "--seed", "7", "--name", NAME).code == 0
    lease = line.claim(line.worker())
    save_png(line.root / lease.folder / "samples-000000009.png", contact_sheet(np.zeros((4, 8, 8, 1), np.uint8)))
    line.succeed_training(lease)
    training = report_of(line).pictures[1]
    assert [shown.version for shown in training.pictures] == [3]
    assert training.left_out == "Left out, since they had another seed, other options or other data: @1, @2."

    # What is gone is told of.
    for picture in [*line.root.rglob("samples-*.png"), *line.root.rglob("ch*.png"), *line.root.rglob("weights*")]:
        picture.unlink()
    report = report_of(line)
    assert (report.pictures, report.pictures_missing) == ([], "No picture of a version is on this host.")
    assert [row.files for row in report.versions] == ["not on this host"] * 3


def test_a_model_that_was_only_trained_has_a_page(world: World, run: Runner, tmp_path: Path) -> None:
    world.trained(world.worker(), name=NAME)
    assert run("model", "report", NAME, "--out", tmp_path / "line.html").code == 0
    found = run("model", "report", NAME, "--out", tmp_path / "none" / "line.html")
    assert found.code == 1
    assert "cannot be written" in found.err
    text = Page((tmp_path / "line.html").read_text(encoding="utf-8")).text
    for words in (
        f"{NAME} has no champion. The newest version is {NAME}@1",
        "No gate has judged a version yet",
        "Nothing of it was moved yet.",
        "No images were made with it yet.",
    ):
        assert words in text, words


def test_a_model_that_there_is_not_is_an_error(world: World, run: Runner, tmp_path: Path) -> None:
    found = run("model", "report", NAME, "--out", tmp_path / "line.html")
    assert (found.code, found.out) == (3, "")
    assert "there is no model" in found.err
    assert not (tmp_path / "line.html").exists()
