"""What a task's seconds went to: measured in tasks that are bound by one stage or another."""

from pathlib import Path
from typing import Any

import pytest

from imagemodels.networks.decoder import ConvDecoder
from imagemodels.networks.specs import ConvDecoderSpec
from imagemodels.sampling import Generator
from pixmill.specs import GenerateSpec
from pixmill.stages import Stage, bound_by
from tests.worker.desks import Listener
from tests.worker.test_kinds_generate import RUNTIME, exported
from worker.device.spending import Rate, Spending

HEAVY = ConvDecoderSpec(image_size=32, channels=1, latent_size=4, width=128)
LIGHT = ConvDecoderSpec(image_size=64, channels=3, latent_size=4, width=2)


@pytest.mark.parametrize(
    ("network", "asked", "stage"),
    [(HEAVY, {"n": 200}, Stage.DEVICE), (LIGHT, {"n": 60, "encoder": "png-small"}, Stage.ENCODE)],
    ids=["slow network", "slow encoder"],
)
def test_a_task_is_bound_by_what_takes_longest(
    tmp_path: Path, network: ConvDecoderSpec, asked: dict[str, Any], stage: Stage
) -> None:
    spec = GenerateSpec(model="one@1", shard_size=asked["n"], **asked)
    model = exported(tmp_path, Generator(ConvDecoder(network), RUNTIME))
    listener = Listener(tmp_path, role="generate", spec=spec.model_dump(), params={"first_shard": 0}, model=model)
    result = listener.run().answer["result"]
    progress = listener.said("progress")[-2]
    listener.close()
    assert bound_by(result["spent"]) is stage
    assert bound_by(progress["spent"]) is stage  # while it runs, too
    assert set(result["spent"]) == {Stage.DEVICE, Stage.ENCODE, Stage.DISK}
    assert 0.8 * result["making_seconds"] <= sum(result["spent"].values()) <= result["making_seconds"] + 0.01
    assert result["made"] == asked["n"]


def test_the_time_that_is_waited_is_shared_as_others_shared_theirs() -> None:
    spending = Spending()
    spending.waited(3.0, {"device": 8.0, "encode": 4.0})  # of two at once, say
    spending.waited(1.0, {"device": 1.0})
    with spending.writing({}):
        pass
    assert spending.seconds == {"device": 3.0, "encode": 1.0, "disk": pytest.approx(0.0, abs=0.5)}


def test_images_that_are_lost_and_made_anew_count_as_work(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 5.0, 6.0, 10.0, 19.0])
    monkeypatch.setattr("worker.device.spending.time.monotonic", lambda: next(clock))
    rate = Rate()
    assert [rate.add(count) for count in (100, -60, 80, 9)] == [
        20.0,
        pytest.approx(100 / 6),
        18.0,
        pytest.approx(89 / 13),
    ]
