"""A train job whose quality collapses says so, and goes back to its best state or ends, as its options say."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from imagemodels.networks.mlp import MlpDecoder
from pages.trainhistory import read_history
from pixmill.specs import TrainSpec
from tests.worker.desks import Listener, stored_file

BATCH = 32
STEPS = 100
EVERY = STEPS // 10  # steps between two measurements
GONE = range(5 * EVERY, 6 * EVERY + 1)  # steps after which all images are black: two measurements

SMALL: dict[str, Any] = {"backbone": "mlp", "width": 64, "depth": 1, "latent_size": 8, "ema_half_life_images": 0}

Train = Callable[..., Listener]


def spec(policy: str) -> dict[str, Any]:
    made = TrainSpec(
        model="vae-gan",
        dataset="digits",
        image_size=8,
        images=STEPS * BATCH,
        batch_size=BATCH,
        options=SMALL | {"on_collapse": policy, "collapse_patience": 2},
    )
    return made.model_dump()


@contextmanager
def black_after(steps: range) -> Iterator[None]:
    """Let the network make black images while it is not trained, after so many steps of training."""
    done = 0

    def spoil(network: nn.Module, _inputs: object, outputs: Any) -> Tensor | None:
        nonlocal done
        if not isinstance(network, MlpDecoder):
            return None
        done += network.training
        return torch.full_like(outputs, -1.0) if not network.training and done in steps else None

    # torch's stub says that such a hook gives nothing; its documentation, that it may give other outputs.
    handle = nn.modules.module.register_module_forward_hook(spoil)  # type: ignore[arg-type]
    yield
    handle.remove()


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Train]:
    """Makes desks with a train task, each an attempt of its own below one root: the feature net is made once."""
    root = tmp_path_factory.mktemp("root")
    made: list[Listener] = []

    def new(policy: str, **fields: Any) -> Listener:
        made.append(Listener(root, epoch=len(made), spec=spec(policy), checkpoint_seconds=1e9, **fields))
        return made[-1]

    yield new
    for listener in made:
        listener.close()


def result_of(listener: Listener) -> dict[str, Any]:
    with black_after(GONE):
        answer = listener.run().answer
    assert answer["say"] == "succeeded", answer
    result: dict[str, Any] = answer["result"]
    return result


def lines(listener: Listener, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (listener.desk.folder / name).read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def rolled_back(train: Train) -> tuple[Listener, dict[str, Any]]:
    """A run that went back, and its result."""
    listener = train("rollback")
    return listener, result_of(listener)


def test_it_goes_back_to_the_best_state_and_everybody_hears_of_it(rolled_back: tuple[Listener, dict[str, Any]]) -> None:
    listener, result = rolled_back
    assert (result["collapse_rollbacks"], result["nan_rollbacks"]) == (1, 0)
    assert result["lineage"]["collapse_rollbacks"] == 1
    assert result["images_seen"] == STEPS * BATCH
    (noted,) = lines(listener, "collapses.jsonl")
    assert noted["images_seen"] == 6 * EVERY * BATCH
    assert noted["best_images_seen"] <= 4 * EVERY * BATCH
    assert noted["value"] > 2 * noted["best_value"]
    assert noted["goes_on"]
    (entry,) = [entry for entry in listener.journal() if entry["what"] == "collapse"]
    assert entry["best_images_seen"] == noted["best_images_seen"]
    assert "going back there, with half the learning rate" in listener.log()
    assert {said["collapse_rollbacks"] for said in listener.said("progress") if "collapse_rollbacks" in said} == {0, 1}
    measured = [line["images"] for line in lines(listener, "quality.jsonl")]
    assert measured == sorted(set(measured))
    assert max(line["value"] for line in lines(listener, "quality.jsonl")) < noted["value"]
    history = read_history([listener.desk.folder, listener.desk.folder], "kid@cnn")  # as of two attempts
    (sentence,) = history.warnings
    assert sentence.startswith("The quality collapsed to ")
    assert "training went back to the best, " in sentence


def test_told_to_stop_it_succeeds_early_with_its_best_model(train: Train) -> None:
    listener = train("stop")
    result = result_of(listener)
    assert result["images_seen"] == 6 * EVERY * BATCH
    assert result["best_images_seen"] <= 4 * EVERY * BATCH
    assert "training ends here" in listener.log()
    (sentence,) = read_history([listener.desk.folder], "kid@cnn").warnings
    assert "training ended; its model is of the best, " in sentence


def test_stopped_after_its_way_back_it_ends_as_if_it_had_not_been(
    train: Train, rolled_back: tuple[Listener, dict[str, Any]]
) -> None:
    first = train("rollback", stop_when=lambda message: message.get("collapse_rollbacks") == 1)
    with black_after(GONE):
        assert first.run().answer["say"] == "stopped"
    grids = [int(grid.stem.removeprefix("samples-")) for grid in first.desk.folder.glob("samples-*.png")]
    (noted,) = lines(first, "collapses.jsonl")
    assert 0 in grids
    # Some steps may be taken until the wish to stop is heard, fewer than those of the abandoned way.
    assert max(grids) < noted["best_images_seen"] + EVERY * BATCH
    newest = [message for message in first.said("checkpoint") if message["kind"] == "last"][-1]
    second = train("rollback", checkpoints=(stored_file(newest),))
    answer = second.run().answer
    assert answer["result"]["digest"] == rolled_back[1]["digest"]
    assert answer["result"]["collapse_rollbacks"] == 1
