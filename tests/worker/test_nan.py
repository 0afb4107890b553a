"""A run that diverges goes back to its last sound checkpoint once, and takes another way from there."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from imagemodels.networks.encoder import ConvEncoder
from pixmill.specs import TrainSpec
from tests.worker.desks import Listener, stored_file
from worker.device.attempt import Ending

STEPS = 20
BATCH = 16
SPEC = TrainSpec(
    model="cnn",
    dataset="digits",
    image_size=8,
    images=STEPS * BATCH,
    batch_size=BATCH,
    options={"width": 4, "feature_size": 8},
)
EVERY_EVENT = 0.0  # seconds between two checkpoints

Train = Callable[..., Listener]


@contextmanager
def infinite_passes(*numbers: int) -> Iterator[None]:
    """Make what the network gives in these training passes, counted from 1, infinite; its loss is NaN then."""
    passes = 0

    def spoil(network: nn.Module, _inputs: object, outputs: Any) -> Tensor | None:
        nonlocal passes
        if not isinstance(network, ConvEncoder) or not network.training:
            return None
        passes += 1
        return outputs * torch.inf if passes in numbers else None

    # torch's stub says that such a hook gives nothing; its documentation, that it may give other outputs.
    handle = nn.modules.module.register_module_forward_hook(spoil)  # type: ignore[arg-type]
    yield
    handle.remove()


@pytest.fixture
def train(tmp_path: Path) -> Iterator[Train]:
    """Makes desks with a train task; a root of its own for each `run`."""
    made: list[Listener] = []

    def new(run: str = "run", **fields: Any) -> Listener:
        values = {"spec": SPEC.model_dump(), "checkpoint_seconds": EVERY_EVENT, **fields}
        made.append(Listener(tmp_path / run, **values))
        return made[-1]

    yield new
    for listener in made:
        listener.close()


def result_of(ending: Ending) -> dict[str, Any]:
    assert ending.answer["say"] == "succeeded", ending.answer
    result: dict[str, Any] = ending.answer["result"]
    return result


def entries(listener: Listener, what: str) -> list[dict[str, Any]]:
    return [entry for entry in listener.journal() if entry["what"] == what]


def test_it_goes_back_to_the_newest_checkpoint_and_on_to_the_end(train: Train) -> None:
    listener = train()
    with infinite_passes(8):
        result = result_of(listener.run())
    assert (result["nan_rollbacks"], result["images_seen"]) == (1, STEPS * BATCH)
    assert result["lineage"]["nan_rollbacks"] == 1
    (rollback,) = entries(listener, "rollback")
    before = [entry for entry in entries(listener, "checkpoint") if entry["at"] <= rollback["at"]]
    assert rollback["path"] == before[-1]["path"]
    assert (rollback["images_seen"], rollback["rollbacks"]) == (7 * BATCH, 1)
    assert "training diverged: " in listener.log()
    assert "with half the learning rate" in listener.log()
    assert {message["nan_rollbacks"] for message in listener.said("progress") if "nan_rollbacks" in message} == {0, 1}


def test_every_checkpoint_has_a_file_of_its_own(train: Train) -> None:
    listener = train()
    with infinite_passes(8):
        listener.run()
    paths = [message["path"] for message in listener.said("checkpoint") if message["kind"] == "last"]
    assert len(set(paths)) == len(paths) > STEPS


def test_what_was_measured_on_the_abandoned_way_is_struck_out(train: Train) -> None:
    listener = train(checkpoint_seconds=1e9)
    with infinite_passes(11):  # measured after the 2nd, 4th … step; only the best ones are checkpoints here
        result_of(listener.run())
    lines = [json.loads(line) for line in (listener.desk.folder / "quality.jsonl").read_text().splitlines()]
    measured = [line["images"] for line in lines]
    assert measured == sorted(set(measured))
    assert measured[-1] == STEPS * BATCH


def test_without_a_checkpoint_it_begins_again(train: Train) -> None:
    listener = train(checkpoint_seconds=1e9)
    with infinite_passes(2):
        result = result_of(listener.run())
    (rollback,) = entries(listener, "rollback")
    assert (rollback["path"], rollback["images_seen"]) == (None, 0)
    assert "going back to the start, 0 images seen" in listener.log()
    assert result["nan_rollbacks"] == 1


def test_the_second_time_is_the_end(train: Train) -> None:
    listener = train()
    with infinite_passes(8, 12):
        answer = listener.run().answer
    assert (answer["say"], answer["reason"]) == ("failed", "NaNLoss")
    assert "lower the learning rate" in answer["message"]
    assert entries(listener, "end")[0]["reason"] == "NaNLoss"


def test_a_later_attempt_remembers_the_way_back(train: Train) -> None:
    first = train(stop_when=lambda message: message.get("nan_rollbacks") == 1)
    with infinite_passes(8):
        assert first.run().answer["say"] == "stopped"
    assert entries(first, "end")[0]["how"] == "stopped"
    second = train(epoch=4, checkpoints=newest_first(first))
    with infinite_passes(2):
        answer = second.run().answer
    assert (answer["say"], answer["reason"]) == ("failed", "NaNLoss")
    assert entries(second, "resumed")[0]["path"] == newest_first(first)[0].path


def test_the_way_after_it_is_another_one_and_reproducible(train: Train) -> None:
    ends = {}
    for run in ("left alone", "once", "again"):
        listener = train(run)
        with infinite_passes(*(() if run == "left alone" else (8,))):
            result_of(listener.run())
        ends[run] = newest_first(listener)[0].sha256
    assert ends["once"] == ends["again"] != ends["left alone"]


def test_it_can_be_stopped_and_resumed_bit_for_bit_after_it(train: Train) -> None:
    whole = train("whole")
    with infinite_passes(8):
        expected = result_of(whole.run())
    first = train("parts", stop_when=lambda message: message.get("nan_rollbacks") == 1)
    with infinite_passes(8):
        assert first.run().answer["say"] == "stopped"
    second = train("parts", epoch=4, checkpoints=newest_first(first))
    assert result_of(second.run())["digest"] == expected["digest"]
    assert newest_first(second)[0].sha256 == newest_first(whole)[0].sha256


def test_a_checkpoint_that_became_worthless_is_passed_over(train: Train) -> None:
    first = train(stop_when=lambda message: message.get("images_seen") == 3 * BATCH)
    assert first.run().answer["say"] == "stopped"
    newest, before, *_ = newest_first(first)
    first.desk.layout.resolve(newest.path).write_bytes(b"torn")
    second = train(epoch=4, checkpoints=(newest, before))
    result_of(second.run())
    assert [entry["path"] for entry in entries(second, "refused")] == [newest.path]
    assert entries(second, "resumed")[0]["path"] == before.path


def test_the_best_checkpoint_is_a_state_from_which_the_run_ends_the_same(train: Train) -> None:
    whole = train()
    expected = result_of(whole.run())
    best = [message for message in whole.said("checkpoint") if message["kind"] == "best"]
    assert best[-1]["images_seen"] == expected["best_images_seen"]
    assert best[-1]["metric"] == expected["metric"]["value"]
    again = train(epoch=4, checkpoints=(stored_file(best[0]),))
    assert result_of(again.run())["digest"] == expected["digest"]
    assert newest_first(again)[0].sha256 == newest_first(whole)[0].sha256
    assert entries(again, "resumed")[0]["images_seen"] == best[0]["images_seen"] > 0


def newest_first(listener: Listener) -> tuple[Any, ...]:
    return tuple(stored_file(message) for message in reversed(listener.said("checkpoint")) if message["kind"] == "last")
