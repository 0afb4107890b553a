import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pixmill.errors import UserError
from pixmill.settings import load_settings
from tests.waiting import is_alive, wait_until
from tests.worker.line import REPOSITORY
from worker.parent.device_process import DeviceProcess, DeviceProcessRefused, lock_path
from worker.parent.devices import MOST_ENCODERS, choose_device, encoders_of


@pytest.fixture
def process(tmp_path: Path) -> Iterator[DeviceProcess]:
    made = DeviceProcess("cpu", 1, tmp_path / "device.lock", encoders=3)
    yield made
    made.close()


def child(process: DeviceProcess) -> psutil.Process:
    assert process._process is not None
    return psutil.Process(process._process.pid)


def test_it_says_what_its_device_is_and_sees_no_other(process: DeviceProcess) -> None:
    variables = child(process).environ()  # as the process was started, before torch was imported
    assert variables["CUDA_VISIBLE_DEVICES"] == ""
    assert "--encoders 3" in " ".join(child(process).cmdline())
    assert variables["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert variables["OMP_NUM_THREADS"] == "1"
    hello = process.wait_ready()
    assert (hello["device"], hello["kind"]) == ("cpu", "cpu")
    assert hello["memory_bytes"] == psutil.virtual_memory().total
    assert hello["model"]


def test_a_folder_of_the_same_name_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "worker").mkdir()
    (tmp_path / "worker" / "__init__.py").write_text("raise SystemExit('the wrong worker')")
    monkeypatch.chdir(tmp_path)
    process = DeviceProcess("cpu", 1, tmp_path / "device.lock")
    assert process.wait_ready()["say"] == "hello"
    process.close()


def test_closing_ends_it_in_order(process: DeviceProcess) -> None:
    process.wait_ready()
    process.close()
    assert process.ended_with == "ended with status 0"
    assert not process.is_running


def test_a_killed_process_is_noticed_while_waiting(process: DeviceProcess) -> None:
    process.wait_ready()
    child(process).kill()
    assert process.receive(10.0) is None
    assert process.ended_with == "killed by signal 9"
    assert not process.is_running


def test_a_device_that_is_not_there_is_refused(tmp_path: Path) -> None:
    process = DeviceProcess("cuda:99", 1, tmp_path / "device.lock")
    with pytest.raises(DeviceProcessRefused, match="torch finds no CUDA device here"):
        process.wait_ready()
    process.close()


def test_what_is_no_device_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'gpu' is not a device"):
        DeviceProcess("gpu", 1, tmp_path / "device.lock")


def test_a_process_that_cannot_be_started_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "no-python"))
    process = DeviceProcess("cpu", 1, tmp_path / "device.lock")
    assert process.receive(5.0) is None
    assert process.ended_with == "not started: No such file or directory"
    process.close()


@pytest.mark.long
def test_auto_takes_what_is_there() -> None:
    assert choose_device("auto") in {"cpu", "cuda:0"}
    assert choose_device("cuda:7") == "cuda:7"


def test_a_gpu_has_encoders_unless_somebody_says_otherwise() -> None:
    cores = len(os.sched_getaffinity(0))
    assert encoders_of(load_settings(), "cpu") == 0
    assert encoders_of(load_settings(), "cuda:0-1") == min(MOST_ENCODERS, max(1, cores - 1))
    assert encoders_of(load_settings(flags={"worker.encoders": 0}), "cuda:0") == 0
    assert encoders_of(load_settings(flags={"worker.encoders": 2}), "cpu") == 2


def test_each_device_has_a_lock_of_its_own(tmp_path: Path) -> None:
    assert lock_path(tmp_path, "cuda:1") == tmp_path / "device-cuda-1.lock"
    assert lock_path(tmp_path, "cpu") == tmp_path / "device-cpu.lock"


START_AND_STOP = """
import os, signal, sys
from pathlib import Path
from worker.parent.device_process import DeviceProcess
process = DeviceProcess("cpu", 1, Path(sys.argv[1]))._process
os.kill(process.pid, signal.SIGSTOP)  # before the interpreter has come to its first line
print(process.pid, flush=True)
signal.pause()
"""


def test_it_is_bound_to_its_parent_before_its_first_line(tmp_path: Path) -> None:
    command = [sys.executable, "-c", START_AND_STOP, str(tmp_path / "lock")]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        bound = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        wait_until(lambda: not is_alive(bound), timeout=1.0)
