"""Train tasks and the data of the version before: at desks in the process of the test, on folders of real digits."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sklearn.datasets import load_digits

from imagemodels.evaluation.drift import Drift
from tests.worker.beginnings import Home, trained, trained_home
from tests.worker.conftest import TINY
from tests.worker.desks import Listener

PICTURES = 120


@pytest.fixture(autouse=True)
def _everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A small generator of digits in a folder, which grows later."""
    root = tmp_path_factory.mktemp("drift")
    write(root, range(PICTURES))
    return trained_home(root, spec(root))


def write(root: Path, numbers: range, folder: str = "pictures", name: Any = str) -> None:
    digits = load_digits()
    for number in numbers:
        path = root / folder / name(digits.target[number] % 2) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((digits.images[number] * 15).astype("uint8")).save(path)


def spec(root: Path, folder: str = "pictures", **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"model": "vae", "dataset": f"folder:{root / folder}", "images": 128, "options": TINY}
    return {**values, **changes}


def refused(home: Home, epoch: int, **changes: Any) -> tuple[dict[str, Any], Listener]:
    listener = Listener(home.root, epoch=epoch, spec=spec(home.root, **changes), before=home.data)
    answer = listener.run().answer
    listener.close()
    assert (answer["say"], answer["reason"]) == ("failed", "DataRefused"), answer
    assert "Traceback" not in listener.log()
    assert listener.said("checkpoint") == []
    return answer, listener


def test_the_very_same_data_are_not_trained_on(home: Home) -> None:
    result, listener = trained(home.root, 2, spec=spec(home.root, skip_unchanged=True), before=home.data)
    assert result["skipped"]["reason"] == "NoNewData"
    assert result["skipped"]["detail"].endswith("is what digits@1 was trained on: nothing was trained")
    assert (result["drift"]["is_same"], result["drift"]["now"]) == (True, PICTURES)
    assert "folder" not in result
    assert "NoNewData" in listener.log()
    assert not list(listener.desk.folder.glob("*.pt"))


def test_without_a_version_before_there_is_nothing_to_skip(home: Home) -> None:
    result, _ = trained(home.root, 3, spec=spec(home.root, skip_unchanged=True, images=64))
    assert "skipped" not in result
    assert "drift" not in result
    assert result["digest"]


def test_data_that_have_grown_are_compared_image_by_image_and_on_features_of_the_net_before(home: Home) -> None:
    write(home.root, range(10, 180), "grown")
    changed = spec(home.root, "grown", skip_unchanged=True, images=64)
    result, listener = trained(home.root, 4, spec=changed, before=home.data)
    found = Drift.from_json(result["drift"])
    assert (found.before, found.now, found.added, found.removed) == (120, 170, 60, 10)
    assert (found.is_same, found.against) == (False, "digits@1")
    assert found.features is not None
    assert found.features.of == home.result["lineage"]["feature_net"]
    assert found.features.value < 5 * found.features.expected
    assert "170 images, 120 before; 60 added, 10 removed" in listener.log()
    assert json.loads((listener.desk.folder / "drift.json").read_text())["broken"] == []
    bare, _ = trained(home.root, 5, spec=changed, before=replace(home.data, summary=None, traces=None))
    old = Drift.from_json(bare["drift"])
    assert (old.now, old.added, old.features, old.thumbnails, old.mean_shift) == (170, None, None, None, None)
    torn = replace(home.data.traces, sha256="0" * 64) if home.data.traces else None
    result, listener = trained(home.root, 6, spec=changed, before=replace(home.data, traces=torn))
    assert "cannot be compared one by one" in listener.log()
    assert result["drift"]["mean_shift"]


def test_shrunken_data_are_refused_at_once_unless_that_is_right(home: Home) -> None:
    write(home.root, range(40), "shrunken")
    answer, listener = refused(home, 7, folder="shrunken")
    assert answer["message"] == (
        f"data set folder:{home.root}/shrunken is refused (compared with those of digits@1): 40 images, 120 before: "
        "67% fewer (max_shrink 0.5); if that is right, submit it again with --accept-drift"
    )
    assert json.loads((listener.desk.folder / "drift.json").read_text())["removed"] == 80
    cases: list[tuple[int, dict[str, Any]]] = [(8, {"accept_drift": True}), (9, {"max_shrink": 0.8})]
    for epoch, right in cases:
        result, listener = trained(
            home.root, epoch, spec=spec(home.root, "shrunken", images=64, **right), before=home.data
        )
        assert result["drift"]["shrink"] == pytest.approx(2 / 3)
        assert ("accepted as asked: 40 images" in listener.log()) == ("accept_drift" in right)


def test_poisoned_labels_are_refused(home: Home) -> None:
    write(home.root, range(PICTURES), "poisoned", name=lambda _label: "1")
    answer, _ = refused(home, 10, folder="poisoned", max_class_shift=0.3)
    assert "classes have shifted by 0." in answer["message"]
    assert "(max_class_shift 0.3), most of all 0: " in answer["message"]


def test_too_few_images_and_unreadable_files_are_refused_without_a_version_before(home: Home) -> None:
    write(home.root, range(12), "torn")
    for path in sorted((home.root / "torn").rglob("*.png"))[:8]:
        path.write_bytes(b"no picture")
    listener = Listener(home.root, epoch=11, spec=spec(home.root, "torn", on_bad_image="skip", min_images=5))
    answer = listener.run().answer
    listener.close()
    assert answer["reason"] == "DataRefused"
    assert "4 images (min_images 5); 67% of the files are unreadable (max_unreadable 0.5)" in answer["message"]
