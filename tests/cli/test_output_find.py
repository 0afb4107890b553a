"""Images that are traced to the data set, the model and the row that they come from."""

from pathlib import Path

import pytest

from tests.cli.running import Runner
from tests.cli.world import World


@pytest.fixture
def image(world: World, run: Runner, tmp_path: Path) -> Path:
    """A file that somebody has been sent: image 23 of jobs 2 and 3, whose data sets are the same."""
    worker = world.worker()
    world.trained(worker, name="digits-vae")
    for _same in range(2):
        world.generated(worker)
    exported = tmp_path / "exported"
    assert run("output", "export", 2, "--to", exported, "--format", "files").code == 0
    (found,) = exported.rglob("*023.png")
    return found


def test_an_image_names_its_job_its_number_and_its_model(image: Path, run: Runner) -> None:
    found = run("output", "find", image)
    assert found.code == 0
    assert found.lines[0].split() == ["IMAGE", "JOB", "INDEX", "MODEL", "SEED", "CLASS"]
    assert [line.split()[1:4] for line in found.lines[1:]] == [["3", "23", "digits-vae@1"], ["2", "23", "digits-vae@1"]]
    _newer, item = run("output", "find", image, "-o", "json").json["items"]
    (row,) = run("output", "query", 2, "--where", f"sha256 == {item['sha256']}", "-o", "json").json["items"]
    assert {name: item[name] for name in ("index", "key", "seed", "label", "class")} == {
        name: row[name] for name in ("index", "key", "seed", "label", "class")
    }
    assert run("output", "find", item["sha256"].upper(), "-o", "ids").out == "3\n2\n"


def test_an_image_of_no_data_set_is_said_to_be_unknown(image: Path, run: Runner, tmp_path: Path) -> None:
    changed = tmp_path / "changed.png"
    changed.write_bytes(image.read_bytes() + b"\0")
    found = run("output", "find", image, changed, "-o", "ids")
    assert (found.code, found.out) == (3, "3\n2\n")
    assert f"{changed}: in no data set that could be read" in found.err
    found = run("output", "find", tmp_path / "nowhere.png")
    assert found.code not in (0, 3)
    assert "is neither a file nor a sha256 of 64 digits" in found.err


def test_a_table_that_cannot_be_read_is_named_and_the_others_are_looked_through(
    image: Path, world: World, run: Runner
) -> None:
    (table, *_more) = sorted((world.root / "outputs" / "3").glob("*.parquet"))
    table.unlink()
    found = run("output", "find", image)
    assert found.code == 1
    assert found.lines[1].split()[1:3] == ["2", "23"]
    assert table.name in found.err
