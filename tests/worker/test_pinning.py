import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from pixmill.errors import Conflict
from worker.device import pinning
from worker.device.pinning import environment_for, hold_device

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("inherited", "device", "visible"),
    [
        (None, "cuda:0", "0"),
        (None, "cuda:3", "3"),
        ("4,7", "cuda:0", "4"),
        ("4,7", "cuda:1", "7"),
        ("4,7", "cuda:2", "-1"),  # this process was given two: there is no third
        ("GPU-8f2a,GPU-11bc", "cuda:1", "GPU-11bc"),
        ("", "cuda:0", ""),  # this process was given none
        (None, "cpu", ""),
        (None, "cuda:1-2", "1,2"),
        ("4,7", "cuda:0-1", "4,7"),
        ("4,7", "cuda:1-2", "7,-1"),
        ("4,7", "cpu", ""),
    ],
)
def test_a_device_process_sees_its_own_device_alone(
    monkeypatch: pytest.MonkeyPatch, inherited: str | None, device: str, visible: str
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if inherited is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", inherited)
    variables = environment_for(device, 3)
    assert variables["CUDA_VISIBLE_DEVICES"] == visible
    assert variables["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert variables["OMP_NUM_THREADS"] == "3"


@contextmanager
def holder_of(lock: Path) -> Iterator["subprocess.Popen[bytes]"]:
    code = "import sys; from pathlib import Path; from worker.device.pinning import hold_device; "
    code += "hold_device(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(lock)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_device_is_held_by_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pinning, "_LOCK_WAIT", 0.1)
    lock = tmp_path / "run" / "device-cpu.lock"
    with holder_of(lock) as process, pytest.raises(Conflict, match=f"device-cpu is held by process {process.pid}"):
        hold_device(lock)


def test_a_killed_process_lets_go_of_its_device(tmp_path: Path) -> None:
    lock = tmp_path / "device-cpu.lock"
    with holder_of(lock) as process:
        process.kill()
        hold_device(lock)  # raises Conflict when it stays held
    assert lock.read_text() == str(psutil.Process().pid)


def test_a_child_whose_parent_died_before_it_could_ask_ends_at_once() -> None:
    code = "from worker.device.pinning import die_with_parent; die_with_parent(1 << 22); print('survived')"
    found = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, check=False, timeout=30)
    assert found.returncode == -9
    assert found.stdout == b""
