"""The command: a real process, what it listens to, how it ends; and what it says when something is missing."""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.cli.running import Run, command_line, environment
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
MISSING = "error: the dashboard needs starlette, which is not installed\nhint:  pip install 'pixmill[server]'\n"


def test_it_serves_this_machine_until_it_is_told_to_end(standing_home: Path, tmp_path: Path) -> None:
    line = command_line("--home", standing_home, "server", "--port", "0")
    process = subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), cwd=tmp_path
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        wait_until(lambda: answers(f"{address}healthz"), timeout=30)  # on a machine with much else to do
        with urlopen(f"{address}jobs", timeout=30) as answer:
            assert answer.headers["Server"] is None
            assert b"digits-vae" in answer.read()
        port = int(address.rstrip("/").rpartition(":")[2])
        assert listeners(process.pid, port) == {"0100007F"}
        threads = [int(entry.name) for entry in Path(f"/proc/{process.pid}/task").iterdir()]
        assert len(threads) > 8
        assert min(os.getpriority(os.PRIO_PROCESS, thread) for thread in threads) >= 5
        taken = Run().invoke("--home", standing_home, "server", "--port", port)
        assert (taken.code, "cannot be opened: Address already in use" in taken.err) == (4, True)
        process.send_signal(signal.SIGTERM)
        _out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert err.endswith("the dashboard has ended\n")


def answers(address: str) -> bool:
    """Whether the database was asked in time."""
    try:
        with urlopen(address, timeout=30) as answer:
            return int(answer.status) == 200
    except HTTPError:
        return False


def listeners(pid: int, port: int) -> set[str]:
    """The addresses, as the kernel spells them, on which a port is listened to."""
    found = set()
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]:
            address, state = line.split()[1], line.split()[3]
            host, _, number = address.partition(":")
            if state == "0A" and int(number, 16) == port:
                found.add(host)
    return found


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--host", "0.0.0.0"], 2, "would open the dashboard to the network"),
        (["--host", "no such host"], 2, "would open the dashboard to the network"),
        (["--token-file", "/nowhere"], 78, "cannot be read"),
        (["--allowed-host", "a/b"], 2, "is no host name"),
        (["--port", "70000"], 2, "70000"),
    ],
)
def test_what_was_asked_wrongly_is_told_in_a_line(tmp_path: Path, flags: list[str], code: int, words: str) -> None:
    outcome = Run().invoke("--home", tmp_path, "server", *flags)
    assert (outcome.code, words in outcome.err, outcome.err.count("\n")) == (code, True, 2), outcome.err


def test_without_its_packages_it_says_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in {"server", "starlette"}]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "starlette", None)
    outcome = Run().invoke("--home", tmp_path, "server")
    assert (outcome.code, outcome.err) == (78, MISSING)


def test_what_others_wrote_is_what_was_written_down() -> None:
    text = (ROOT / "docs" / "dashboard.md").read_text(encoding="utf-8")

    folder = ROOT / "server" / "static" / "vendor"
    for file in (*folder.glob("*.js"), *folder.glob("*.css")):
        assert f"| {file.name} |" in text
        assert hashlib.sha256(file.read_bytes()).hexdigest() in text, file.name
    assert {file.name for file in folder.glob("*LICENSE")} == {"htmx.LICENSE", "uPlot.LICENSE"}
