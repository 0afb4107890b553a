import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from imagemodels.data.packed import PackedStore
from imagemodels.data.picture_files import FolderFiles, tell_nobody
from tests.cli.running import Runner, Terminal, on_terminal
from tests.cli.world import World
from tests.imagemodels.data.pictures import write_class_folders, write_picture


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    return write_class_folders(tmp_path / "pets", {"cat": 6, "dog": 3}, (8, 8))


@pytest.fixture
def registered(pets: Path, run: Runner) -> Path:
    """The folder that is registered as `pets`."""
    assert run("dataset", "add", "pets", f"folder:{pets}").code == 0
    return pets


def test_a_data_set_is_read_once_and_remembered(pets: Path, run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pets.parent)
    found = run("dataset", "add", "pets", "folder:pets")
    assert (found.code, found.out) == (0, "")
    assert "data set pets is added: 9 images, 2 classes, fingerprint" in found.err
    (item,) = run("dataset", "ls", "-o", "json").json["items"]
    assert (item["name"], item["source"], item["images"]) == ("pets", f"folder:{pets}", 9)
    assert (item["image_size"], item["channels"], item["on_bad_image"]) == (8, 3, "fail")
    assert item["histogram"] == {"cat": 6, "dog": 3}
    assert (item["split"], item["train_images"], item["test_images"]) == ("content seed=0 share=0.2", 7, 2)
    assert re.fullmatch(r"[0-9a-f]{64}", item["content_fingerprint"])
    assert item["user"]
    assert item["added_at"].endswith("Z")
    assert run("dataset", "ls", "-o", "ids").lines == ["pets"]
    again = run("dataset", "add", "pets", "folder:pets", "-o", "json")
    assert again.json["schema"] == "pixmill.dataset/1"
    assert again.json["item"] == {**item, "registration": "unchanged"}


def test_a_data_set_is_shown_with_the_images_of_each_class(registered: Path, run: Runner) -> None:
    found = run("dataset", "show", "pets")
    assert found.code == 0
    assert "  images       9 of 8×8×3" in found.lines
    assert "7 to train on, 2 held out (content seed=0 share=0.2)" in found.out
    cat, dog = (next(line for line in found.lines if line.startswith(f"  {name}")) for name in ("cat", "dog"))
    assert (cat.split()[1], dog.split()[1]) == ("6", "3")
    assert cat.count("█") == 2 * dog.count("█") == 32
    assert run("dataset", "show", "pets", "-o", "json").json["item"]["classes"] == ["cat", "dog"]
    assert "\x1b[1mdata set pets\x1b[0m" in on_terminal("dataset", "show", "pets").out


def test_size_channels_and_bad_images_are_as_asked(pets: Path, run: Runner) -> None:
    (pets / "cat" / "torn.png").write_bytes(b"no picture")
    refused = run("dataset", "add", "pets", f"folder:{pets}")
    assert (refused.code, refused.out) == (2, "")
    assert "error: 1 of 10 images in" in refused.err
    assert "cat/torn.png: not an image" in refused.err
    flags = ["--image-size", 16, "--channels", 1, "--on-bad-image", "skip"]
    assert run("dataset", "add", "pets", f"folder:{pets}", *flags).code == 0
    assert "cat/torn.png: not an image" in run("dataset", "show", "pets").out
    item = run("dataset", "show", "pets", "-o", "json").json["item"]
    assert (item["image_size"], item["channels"], item["bad_images"]) == (16, 1, 1)
    assert run("dataset", "verify", "pets").code == 0


@pytest.mark.parametrize("name", ["digits", "cifar10", "folder", "tar", "a b", "-x", "a:b", "pets@1a2b3c4d", "x" * 101])
def test_names_that_mean_something_else_are_refused(name: str, run: Runner) -> None:
    found = run("dataset", "add", "--", name, "digits")
    assert (found.code, found.out) == (2, "")
    assert f"error: {name!r} " in found.err
    assert run("dataset", "ls", "-o", "json").json["items"] == []


def test_a_name_stands_for_other_data_only_on_demand(registered: Path, run: Runner) -> None:
    write_picture(registered / "dog" / "new.png", 99, (8, 8))
    refused = run("dataset", "add", "pets", f"folder:{registered}")
    assert refused.code == 4
    assert "--replace" in refused.err
    assert (
        "data set pets is replaced: 10 images" in run("dataset", "add", "pets", f"folder:{registered}", "--replace").err
    )
    assert run("dataset", "verify", "pets").code == 0


def test_verify_tells_in_one_line_what_has_changed(registered: Path, run: Runner) -> None:
    intact = run("dataset", "verify", "pets")
    assert (intact.code, intact.out) == (0, "")
    assert "data set pets is as it was registered" in intact.err
    (registered / "cat" / "000.png").unlink()
    found = run("dataset", "verify", "pets")
    assert (found.code, len(found.lines)) == (1, 1)
    assert found.out.startswith(
        "data set pets has changed: images 8, registered 9; class cat 5, registered 6; fingerprint "
    )


@pytest.mark.parametrize("act", ["repainted", "moved", "gone"])
def test_verify_finds_what_no_number_tells(act: str, registered: Path, run: Runner) -> None:
    match act:
        case "repainted":
            write_picture(registered / "cat" / "000.png", 99, (8, 8))
        case "moved":
            (registered / "cat" / "000.png").rename(registered / "cat" / "renamed.png")
        case "gone":
            registered.rename(registered.parent / "elsewhere")
    assert run("dataset", "add", "good", "digits").code == 0
    found = run("dataset", "verify", "--all", "-o", "json")
    assert found.code == 1
    good, bad = found.json["item"]["datasets"]
    assert good == {"name": "good", "intact": True, "changes": [], "hindrance": None}
    assert (bad["name"], bad["intact"], len(bad["changes"])) == ("pets", False, 1)
    assert bad["changes"][0].startswith("cannot be read: " if act == "gone" else "fingerprint ")


@dataclass(frozen=True)
class SmallStore(PackedStore):
    above_bytes: int = 9 * 8 * 8 * 3 - 1


@pytest.fixture
def packing(registered: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of `pets`, where a data set as small as that is packed."""
    monkeypatch.setattr("imagemodels.data.packed.PackedStore", SmallStore)
    return registered


def test_verify_reads_the_bytes_of_what_is_packed(packing: Path, run: Runner, home: Path) -> None:
    assert run("dataset", "verify", "pets").code == 0
    (record,) = home.rglob("packed/sources/*.json")
    write_picture(packing / "cat" / "000.png", 99, (8, 8))
    stamp = FolderFiles(packing, tell_nobody).stamp()
    record.write_text(json.dumps({**json.loads(record.read_text()), "stamp": stamp}))  # as after a fault of the disk
    found = run("dataset", "verify", "pets")
    assert (found.code, len(found.lines)) == (1, 1)
    assert found.out.startswith("data set pets has changed: fingerprint ")


def test_a_set_that_cannot_be_compared_does_not_cost_the_results_of_the_others(
    packing: Path, run: Runner, home: Path
) -> None:
    assert run("dataset", "add", "good", "digits").code == 0
    (home / "packed").write_bytes(b"no folder")
    found = run("dataset", "verify", "--all")
    assert (found.code, len(found.lines)) == (1, 1)
    assert found.out.startswith(f"data set pets could not be compared: cannot write {home / 'packed'}: ")
    assert "data set good is as it was registered" in found.err
    good, bad = run("dataset", "verify", "--all", "-o", "json").json["item"]["datasets"]
    assert (good["intact"], bad["intact"], bad["changes"]) == (True, False, [])
    assert bad["hindrance"].startswith("cannot write ")


def test_a_name_is_forgotten_when_it_is_typed(registered: Path, run: Runner) -> None:
    refused = run("dataset", "rm", "pets")
    assert refused.code == 2
    assert "hint:  add -y to do it" in refused.err
    asked = Terminal("dataset", "rm", "pets")
    asked.read_until("forget data set pets: type pets to do it: ")
    asked.type("yes\n")
    assert asked.finish().code == 1
    assert run("dataset", "ls", "-o", "ids").lines == ["pets"]
    asked = Terminal("dataset", "rm", "pets")
    asked.read_until("forget data set pets: type pets to do it: ")
    asked.type("pets\n")
    assert asked.finish().code == 0
    assert run("dataset", "ls", "-o", "json").json["items"] == []
    assert (registered / "cat" / "000.png").exists()


def test_what_is_not_registered_is_not_found(registered: Path, run: Runner) -> None:
    for args in (["show", "pet"], ["verify", "pet"], ["rm", "pet", "-y"]):
        found = run("dataset", *args)
        assert (found.code, found.out) == (3, "")
        assert "hint:  did you mean 'pets'?" in found.err
    assert run("dataset", "verify").code == 2
    assert run("dataset", "verify", "pets", "--all").code == 2


def test_a_train_job_names_a_registered_data_set(registered: Path, run: Runner) -> None:
    digits = run("dataset", "show", "pets", "-o", "json").json["item"]["content_fingerprint"][:12]
    found = run("submit", "train", "--model", "vae", "--dataset", "pets", "--dry-run", "-o", "json")
    assert (found.json["item"]["dataset"], found.json["item"]["name"]) == (f"pets@{digits}", "vae-pets")
    wrong = run("submit", "train", "--model", "vae", "--dataset", "pest")
    assert wrong.code == 2
    assert "hint:  did you mean the registered data set 'pets'?" in wrong.err
    assert run("dataset", "rm", "pets", "-y").code == 0
    assert run("submit", "train", "--model", "vae", "--dataset", "pets").code == 2


def test_what_was_generated_is_registered_and_named(world: World, run: Runner) -> None:
    worker = world.worker()
    world.trained(worker, name="digits-vae")
    output = world.root / "outputs" / str(world.generated(worker))
    assert run("dataset", "add", "made", f"tar:{output}").code == 0
    item = run("dataset", "show", "made", "-o", "json").json["item"]
    assert (item["images"], item["histogram"]) == (40, {"zero": 20, "one": 20})
    (output / "shard-000001.tar").unlink()
    found = run("dataset", "verify", "made")
    assert found.code == 1
    assert "cannot be read: " in found.out
    assert json.loads((output / "dataset.json").read_text())["images"] == 40
