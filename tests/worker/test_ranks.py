"""A train task on two devices: real ranks, started as torchrun starts them, that are killed and end."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pixmill.specs import TrainSpec
from tests.waiting import is_alive, wait_until
from tests.worker.conftest import SMALL_CLASSIFIER
from tests.worker.desks import stored_file
from worker.assignment import Assignment
from worker.device.facts import device_facts
from worker.parent.device_process import DeviceProcess, lock_paths

REPOSITORY = Path(__file__).parents[2]
BATCH = 64
PATIENCE = 120.0  # seconds


def assignment(root: Path, epoch: int, images: int, **changes: Any) -> Assignment:
    """Train a classifier; every event leaves a checkpoint."""
    size: dict[str, Any] = {"image_size": 16, "batch_size": BATCH, "options": SMALL_CLASSIFIER}
    spec = TrainSpec(model="cnn", dataset="digits", images=images, devices=2, **size)
    values: dict[str, Any] = {
        "job_id": 1,
        "task_id": 2,
        "epoch": epoch,
        "role": "train",
        "job_name": "digits",
        "spec": spec.model_dump(mode="json"),
        "params": {},
        "folder": f"runs/1/2/{epoch}",
        "storage_root": str(root),
        "threads": 2,
        "checkpoint_seconds": 0.0,
    }
    return Assignment(**{**values, **changes})


def new_process(folder: Path) -> DeviceProcess:
    process = DeviceProcess("cpu:0-1", 2, *lock_paths(folder, "cpu:0-1"))
    assert process.wait_ready()["device"] == "cpu:0-1"
    return process


def messages(process: DeviceProcess) -> Iterator[dict[str, Any]]:
    while (message := process.receive(PATIENCE)) is not None:
        yield message


def ranks_of(process: DeviceProcess) -> list[psutil.Process]:
    """The ranks that run, in the order in which they were started."""
    assert process._process is not None
    return [child for child in psutil.Process(process._process.pid).children() if is_alive(child)]


def test_ranks_train_together_and_go_on_from_a_checkpoint_and_the_death_of_one_ends_the_attempt(tmp_path: Path) -> None:
    process = new_process(tmp_path)
    process.run(assignment(tmp_path, 1, 2 * BATCH))
    heard = []
    for message in messages(process):
        heard.append(message)
        if message["say"] in {"succeeded", "failed"}:
            break
    answer = heard[-1]
    assert answer["say"] == "succeeded", answer
    assert (answer["epoch"], answer["result"]["images_seen"], answer["result"]["devices"]) == (1, 2 * BATCH, 2)
    saved = next(message for message in heard if message["say"] == "checkpoint")

    wait_until(lambda: not ranks_of(process), PATIENCE)  # the same process takes the next task
    process.run(assignment(tmp_path, 2, 10**6, checkpoints=(stored_file(saved),)))
    later = next(message for message in messages(process) if message["say"] == "checkpoint")
    assert later["images_seen"] > saved["images_seen"]
    journal = (tmp_path / "runs/1/2/2/journal.jsonl").read_text(encoding="utf-8")
    assert f'"images_seen": {saved["images_seen"]}' in journal.splitlines()[1]
    ranks = ranks_of(process)
    assert [rank.environ()["RANK"] for rank in ranks] == ["0", "1"]
    ranks[1].kill()
    said = {message["say"] for message in messages(process)}
    assert not said & {"failed", "succeeded", "stopped"}  # the lease is lost, the job is not at fault
    assert process.ended_with == "ended: a process of another of its devices is gone (the worker's log names it)"
    assert not any(map(is_alive, ranks))
    process.close()


WORKER = """
import json, sys
from pathlib import Path
from worker.assignment import Assignment
from worker.parent.device_process import DeviceProcess, lock_paths

process = DeviceProcess("cpu:0-1", 2, *lock_paths(Path(sys.argv[1]), "cpu:0-1"))
process.wait_ready()
process.run(Assignment.from_json(json.loads(sys.argv[2])))
print(process._process.pid, flush=True)
sys.stdin.read()
"""


def test_neither_device_process_nor_ranks_outlive_a_worker_that_is_killed_while_they_start(tmp_path: Path) -> None:
    task = json.dumps(assignment(tmp_path, 1, 10**6).to_json())
    command = [sys.executable, "-c", WORKER, str(tmp_path), task]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        device = psutil.Process(int(worker.stdout.readline()))
        ranks = wait_until(device.children, PATIENCE)
        worker.kill()
        wait_until(lambda: not is_alive(device), PATIENCE)
        wait_until(lambda: not any(map(is_alive, ranks)), PATIENCE)
    assert not [process for process in psutil.process_iter() if str(tmp_path) in command_of(process)]


def command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it has ended meanwhile
        return ""


@pytest.mark.parametrize("device", ["cpu", "cpu:0-1"])
def test_a_cpu_in_parts_has_the_memory_of_one(device: str) -> None:
    assert device_facts(device)["memory_bytes"] == psutil.virtual_memory().total


def test_each_of_several_devices_has_its_own_lock(tmp_path: Path) -> None:
    assert [path.name for path in lock_paths(tmp_path, "cuda:1,cuda:0")] == ["device-cuda-0.lock", "device-cuda-1.lock"]
