"""Train tasks that begin with the weights of a version: at desks in the process of the test."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pixmill.lineage import PARENT
from storage.atomic import sha256_file
from tests.worker.beginnings import Home, trained, trained_home
from tests.worker.conftest import SMALL_CLASSIFIER
from tests.worker.desks import Listener, stored_file

SPEC: dict[str, Any] = {
    "model": "cnn",
    "dataset": "digits",
    "image_size": 8,
    "images": 6_400,
    "seed": 3,
    "options": SMALL_CLASSIFIER,
}
SHORT = {**SPEC, "images": 1_280}


@pytest.fixture(autouse=True)
def _everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return trained_home(tmp_path_factory.mktemp("begin"), SPEC)


def weights(home: Home, result: dict[str, Any]) -> str:
    return sha256_file(home.root / result["folder"] / "weights.safetensors")


def test_the_same_parent_seed_and_data_give_the_same_bytes(home: Home) -> None:
    once, listener = trained(home.root, 2, spec=SHORT, start=home.start, before=home.data)
    again, _ = trained(home.root, 3, spec=SHORT, start=home.start)
    scratch, _ = trained(home.root, 4, spec=SHORT)
    assert weights(home, once) == weights(home, again) != weights(home, scratch)
    assert (once["lineage"][PARENT], once["lineage"]["parent_digest"]) == ("digits@1", home.start.digest)
    assert once["lineage"]["images_before"] == home.start.images == home.result["best_images_seen"]
    assert PARENT not in scratch["lineage"]
    assert once["metric"]["value"] > home.result["metric"]["value"] > scratch["metric"]["value"]
    assert f"beginning with digits@1, which has learnt from {home.start.images} images" in listener.log()
    assert once["drift"]["is_same"]


def test_a_stop_and_a_torn_state_change_nothing(home: Home) -> None:
    undisturbed, _ = trained(home.root, 5, spec=SHORT, start=home.start)
    fields: dict[str, Any] = {"spec": SHORT, "start": home.start, "checkpoint_seconds": 0.0}
    first = Listener(home.root, epoch=6, stop_when=lambda message: message.get("images_seen", 0) >= 640, **fields)
    assert first.run().answer == {"say": "stopped"}
    states = [stored_file(message) for message in first.said("checkpoint") if message["kind"] == "last"]
    first.close()
    second, listener = trained(home.root, 7, checkpoints=tuple(states[:-3:-1]), **fields)
    assert weights(home, second) == weights(home, undisturbed)
    assert second["lineage"] | {"data": None} == undisturbed["lineage"] | {"data": None}
    assert "going on from" in listener.log()
    assert "beginning with" not in listener.log()
    torn = replace(states[-1], sha256="0" * 64)
    third, listener = trained(home.root, 8, checkpoints=(torn,), **fields)
    assert weights(home, third) == weights(home, undisturbed)
    assert "no checkpoint can be used" in listener.log()
    assert "beginning with digits@1" in listener.log()


def failure(home: Home, epoch: int, **fields: Any) -> tuple[str, str]:
    values: dict[str, Any] = {"spec": SHORT, "start": home.start, **fields}
    listener = Listener(home.root, epoch=epoch, **values)
    answer = listener.run().answer
    listener.close()
    assert "Traceback" not in listener.log()
    assert "\n" not in answer["message"]
    return answer["reason"], answer["message"]


def test_a_parent_whose_files_are_gone_or_others_fails_in_one_line(home: Home, tmp_path: Path) -> None:
    gone = replace(home.start, state=replace(home.start.state, path="runs/1/2/1/gone.pt"))
    reason, message = failure(home, 9, start=gone)
    assert (reason, message.startswith("training cannot begin with digits@1: ")) == ("CorruptFile", True)
    assert message.endswith("gone.pt is missing; begin with another version, or train from scratch: --from none")
    assert failure(home, 10, start=replace(home.start, folder="runs/1/2/none"))[0] == "CorruptFile"
    reason, message = failure(home, 11, start=replace(home.start, digest="0" * 64))
    assert (reason, "holds another model" in message) == ("CorruptFile", True)
    early = stored_file(home.checkpoints[0])
    reason, message = failure(home, 12, start=replace(home.start, state=early))
    assert (reason, "is not the one that was published" in message) == ("CorruptFile", True)


def test_data_of_other_classes_fail_in_one_line(home: Home, pictures: Path) -> None:
    spec = {**SHORT, "dataset": f"folder:{pictures}", "channels": 1}
    reason, message = failure(home, 13, spec=spec)
    assert reason == "UserError"
    assert "it knows classes 0, 1, 2, 3, 4, …, and the data have classes even, odd" in message


def test_images_of_another_size_fail_in_one_line(home: Home) -> None:
    reason, message = failure(home, 15, spec={**SHORT, "image_size": 12})
    assert (reason, "it knows images of 8×8×1, and the data have images of 12×12×1" in message) == ("UserError", True)


def test_networks_of_another_make_fail_in_one_line(home: Home) -> None:
    wider = {**SHORT, "options": {**SMALL_CLASSIFIER, "width": 8}}  # a spec that no submit would let pass
    reason, message = failure(home, 14, spec=wider)
    assert (reason, "its networks are of another make" in message) == ("CorruptFile", True)
