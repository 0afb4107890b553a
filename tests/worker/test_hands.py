"""Processes that make the images of a generate task: who makes an image leaves no trace in it."""

import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from imagemodels.sampling import Generator
from pixmill.interpreter import python_command
from pixmill.specs import GenerateSpec
from tests.waiting import is_alive, wait_until
from tests.worker.desks import Listener
from tests.worker.test_kinds_generate import exported, generator
from worker.device.hands import Hands
from worker.device.warm import WarmModels

Record = dict[str, Any]
Judge = Callable[[Record], bool]


@pytest.fixture(scope="module")
def model() -> Generator:
    """One set of weights for all."""
    return generator()


@pytest.fixture
def warm() -> Iterator[WarmModels]:
    """The models of a device process with two hands, which are ready."""
    warm = WarmModels("cpu", 2)
    hands = hands_of(warm)
    hands.begin()
    wait_until(lambda: hands.are_ready, timeout=60)
    yield warm
    hands.end()


def hands_of(warm: WarmModels) -> Hands:
    assert warm.hands is not None
    return warm.hands


def processes() -> list[psutil.Process]:
    """The hands that are children of this process."""
    return [child for child in psutil.Process().children() if "worker.device.hand" in child.cmdline()]


def generated(
    root: Path,
    model: Generator,
    warm: WarmModels | None = None,
    stop: Judge = lambda _shard: False,
    **asked: Any,
) -> tuple[str, list[Record]]:
    """How a task of 2,000 images ended, and its shards; `stop` decides after each whether the task is to end."""
    spec = GenerateSpec(**{"model": "one@1", "n": 2_000, "shard_size": 500, "seed": 3, **asked})
    fields: dict[str, Any] = {"spec": spec.model_dump(), "params": {"first_shard": 0, "shards": 4}}
    fields["model"] = exported(root, model)
    is_enough = lambda message: message["say"] == "shard" and stop(message["record"])  # noqa: E731
    with closing(Listener(root, role="generate", stop_when=is_enough, **fields)) as listener:
        answer = listener.run(warm).answer
        return answer["say"], [message["record"] for message in listener.said("shard")]


def test_whoever_makes_them_the_images_are_the_same(tmp_path: Path, model: Generator, warm: WarmModels) -> None:
    alone = generated(tmp_path / "alone", model)
    assert generated(tmp_path / "shared", model, warm) == alone
    assert hands_of(warm).are_ready  # for the next task

    victim = processes()[0]

    def kill(_shard: Record) -> bool:
        with suppress(psutil.NoSuchProcess):  # from the second shard on
            victim.kill()
        return False

    assert generated(tmp_path / "killed", model, warm, kill) == alone
    assert not hands_of(warm).are_alive  # the next task begins with sound ones


def test_whoever_makes_their_files_they_are_the_same(tmp_path: Path, model: Generator, warm: WarmModels) -> None:
    for asked in ({"format": "raw"}, {"encoder": "webp", "format": "parquet"}, {"truncation": 0.5, "format": "files"}):
        alone = generated(tmp_path / "alone", model, n=600, **asked)
        assert generated(tmp_path / "shared", model, warm, n=600, **asked) == alone
        assert [shard["count"] for shard in alone[1]] == [500, 100]
        shutil.rmtree(tmp_path / "alone")
        shutil.rmtree(tmp_path / "shared")
    assert hands_of(warm).are_ready


def test_a_task_that_is_stopped_lets_go_of_them(tmp_path: Path, model: Generator, warm: WarmModels) -> None:
    say, shards = generated(tmp_path, model, warm, lambda shard: bool(shard["number"] == 1))
    assert say == "stopped"
    assert 2 <= len(shards) < 4
    assert not processes()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("hand")]  # who could take orders


def test_they_die_with_their_device_process() -> None:
    code = "from worker.device.hands import Hands; hands = Hands(2); hands.begin(); print(1, flush=True); input()"
    with subprocess.Popen(python_command("-c", code), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        hands = psutil.Process(process.pid).children()
        assert len(hands) == 2
        process.send_signal(signal.SIGKILL)
        wait_until(lambda: not any(map(is_alive, hands)))
