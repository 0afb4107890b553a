import json
from pathlib import Path

import pytest

from tests.cli.running import Runner, on_terminal
from tests.cli.world import World


@pytest.fixture
def output(world: World) -> Path:
    """The folder of job 2, a data set of 40 images in two shards."""
    worker = world.worker()
    world.trained(worker, name="digits-vae")
    job_id = world.generated(worker)
    return world.root / "outputs" / str(job_id)


def test_outputs_are_listed_with_images_and_size(output: Path, run: Runner) -> None:
    (item,) = run("output", "ls", "-o", "json").json["items"]
    assert item["folder"] == str(output)
    assert (item["images"], item["shards"], item["state"]) == (40, 2, "succeeded")
    assert item["size_bytes"] == sum(path.stat().st_size for path in output.glob("shard-*.[tp]ar*"))
    assert run("output", "ls").lines[1].split()[:3] == ["2", "digits-vae-images", "digits-vae@1"]
    assert run("output", "ls", "-o", "ids").out == "2\n"


def test_an_output_is_shown_with_what_may_be_done_with_it(output: Path, run: Runner) -> None:
    found = run("output", "show", 2)
    assert found.lines[0] == "output 2  digits-vae-images"
    facts = {line.split()[0]: line.split(maxsplit=1)[1] for line in found.lines[1:]}
    assert (facts["images"], facts["shards"], facts["folder"]) == ("40", "2", str(output))
    assert "zero 20, one 20" in found.out
    assert "pixmill submit evaluate --output 2" in found.err
    item = run("output", "show", 2, "-o", "json").json["item"]
    (listed,) = run("output", "ls", "-o", "json").json["items"]
    assert {name: item[name] for name in ("job_id", "size_bytes", "folder", "model")} == {
        name: listed[name] for name in ("job_id", "size_bytes", "folder", "model")
    }
    assert run("output", "show", 1).code == 3


def test_no_outputs_are_an_empty_list(run: Runner) -> None:
    assert run("output", "ls", "-o", "json").json["items"] == []
    found = run("output", "verify", "--all")
    assert (found.code, found.out) == (0, "")
    assert "no complete output to verify" in found.err


def test_an_intact_output_verifies(output: Path, run: Runner) -> None:
    for args in (["2"], ["--all"]):
        found = run("output", "verify", *args)
        assert (found.code, found.out) == (0, "")
        assert "output 2: 40 images in 2 shards: intact" in found.err
    assert run("output", "verify", 2, "-o", "json").json["item"]["outputs"] == [
        {"job_id": 2, "images": 40, "shards": 2, "intact": True, "problems": []}
    ]


def test_every_damage_is_named_on_stdout(output: Path, run: Runner) -> None:
    tar = output / "shard-000000.tar"
    data = bytearray(tar.read_bytes())
    data[600] ^= 1
    tar.unlink()  # the attempt's folder holds another link to the same bytes
    tar.write_bytes(data)
    (output / "shard-000001.parquet").unlink()

    found = run("output", "verify", 2)

    assert found.code == 1
    assert "output 2: shard-000000.tar has changed: its SHA-256 is not the one recorded" in found.lines
    assert "output 2: shard-000001.parquet is missing" in found.lines
    assert "problems" in found.err
    assert json.loads(run("output", "verify", "--all", "-o", "json").out)["item"]["outputs"][0]["intact"] is False


def test_verifying_on_a_terminal_leaves_one_line(output: Path) -> None:
    found = on_terminal("output", "verify", 2)
    assert found.code == 0
    assert found.out.rstrip().endswith("output 2: 40 images in 2 shards: intact")


def test_what_cannot_be_verified_says_why(run: Runner, world: World) -> None:
    train = world.train()
    generate = world.generate(f"job:{train}")
    found = run("output", "verify", train)
    assert found.code == 3
    assert f"job {train} is of kind train: it makes no output" in found.err
    found = run("output", "verify", generate)
    assert found.code == 4
    assert f"hint:  pixmill wait {generate}" in found.err
    assert run("output", "verify", generate, "--all").code == 2


def test_a_data_set_is_exported_verified_and_queried(output: Path, run: Runner, tmp_path: Path) -> None:
    found = run("output", "export", 2, "--to", tmp_path / "table", "--format", "parquet", "--encoder", "webp")
    assert found.code == 0, found.err
    assert "exported 40 images" in found.err
    assert (tmp_path / "table" / "README.md").read_text(encoding="utf-8").startswith("---\npretty_name:")
    assert run("output", "verify", "--folder", tmp_path / "table").code == 0
    found = run("output", "export", 2, "--to", tmp_path / "table")
    assert (found.code, "is not an empty folder" in found.err) == (2, True)
    found = run("output", "export", 2, "--to", tmp_path / "raw", "--format", "raw", "--encoder", "png")
    assert (found.code, "format raw holds pixels" in found.err) == (2, True)

    assert run("output", "query", 2, "--where", "class == one", "--count").out == "20\n"
    asked = ["output", "query", 2, "--where", "index < 3", "--columns", "index,class"]
    assert run(*asked, "-o", "csv").lines == ["index,class", "0,zero", "1,one", "2,zero"]
    assert run(*asked, "-o", "json", "--limit", 1).json["items"] == [{"index": 0, "class": "zero"}]
    assert run(*asked).lines[2].split() == ["1", "one"]
    found = run("output", "query", 2, "--where", "sise > 3")
    assert (found.code, "did you mean 'size'" in found.err, found.out) == (2, True, "")
