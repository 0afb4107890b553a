"""Redis over TLS: who is trusted, and what is said where somebody is not."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import kombu.pools
import pytest
from redis import Redis

from cli.commands.up import prepare
from cli.context import Workspace
from db.dispatch import WakeUp
from db.lanes import Slot
from db.tables.fleet import DeviceKind
from pixmill.errors import BrokerRefuses, BrokerUnreachable, ConfigError
from pixmill.settings import Settings, load_settings
from scheduler.broker import PokeListener, WakeUpSender, broker_facts, poke
from scheduler.connecting import require_welcome
from scheduler.messages import make_celery
from tests.relay import Relay
from tests.servers import Valkey, running_valkey
from tests.tls import Authority, Pair
from worker.parent.main import run_worker

LIMIT_SECONDS = 2.0
SERVER = ("localhost", "127.0.0.1")
PASSWORD = "open-sesame"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    with running_valkey() as found:
        yield found


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def secured(server: Valkey, authority: Authority) -> Iterator[Relay]:
    """The server, behind TLS."""
    with Relay(server.socket, authority.issue("server", SERVER)) as relay:
        yield relay


@pytest.fixture(scope="module")
def strict(server: Valkey, authority: Authority) -> Iterator[Relay]:
    """The same, for those alone who have a certificate."""
    with Relay(server.socket, authority.issue("strict", SERVER), clients_of=authority.file) as relay:
        yield relay


def using(home: Path, relay: Relay, host: str = "localhost", **files: Path) -> Settings:
    flags: dict[str, Any] = {f"broker.{name}": path for name, path in files.items()}
    return load_settings(flags={"home": home, "broker.url": f"rediss://{host}:{relay.port}/0", **flags})


def send(settings: Settings) -> None:
    kombu.pools.reset()  # which know connections by host and port alone
    WakeUpSender(make_celery(settings), settings).send(WakeUp(1, 1, Slot(DeviceKind.CPU)))


QUICK_WAYS = (poke, broker_facts, require_welcome)
WAYS = (*QUICK_WAYS, send)  # Celery tries for two seconds more


def test_all_ways_to_redis_lead_through_tls(tmp_path: Path, secured: Relay, authority: Authority) -> None:
    settings = using(tmp_path, secured, ca_file=authority.file)
    for way in WAYS:
        way(settings)
    assert PokeListener(settings).wait(5.0)


def test_a_server_that_wants_a_certificate_gets_ours(tmp_path: Path, strict: Relay, authority: Authority) -> None:
    ours = authority.issue("client")
    for way in WAYS:
        way(using(tmp_path, strict, ca_file=authority.file, cert_file=ours.certificate, key_file=ours.key))
    both = tmp_path / "both.pem"
    both.write_bytes(ours.certificate.read_bytes() + ours.key.read_bytes())
    poke(using(tmp_path, strict, ca_file=authority.file, cert_file=both))
    for way in (poke, broker_facts, send):
        with pytest.raises(BrokerUnreachable, match="Redis") as caught:
            way(using(tmp_path, strict, ca_file=authority.file))
        assert caught.value.hint is not None
        assert "broker.cert_file" in caught.value.hint


def refusal(settings: Settings, words: str) -> None:
    """Each way to Redis ends soon, and says why."""
    for way in QUICK_WAYS:
        started = time.monotonic()
        with pytest.raises(BrokerRefuses, match=words) as caught:
            way(settings)
        assert time.monotonic() - started < LIMIT_SECONDS
        assert caught.value.hint
        assert "\n" not in caught.value.message


def test_a_server_of_another_authority_is_not_trusted(tmp_path: Path, secured: Relay) -> None:
    refusal(using(tmp_path, secured, ca_file=Authority(tmp_path, "other").file), "not trusted: .*certificate")
    refusal(using(tmp_path, secured), "not trusted: .*certificate")  # nor does any authority of this host know it
    with pytest.raises(BrokerRefuses, match=r"not trusted: .*certificate"):
        send(using(tmp_path, secured))


def test_a_certificate_that_ran_out_is_not_trusted(tmp_path: Path, server: Valkey, authority: Authority) -> None:
    with Relay(server.socket, authority.issue("old", SERVER, days=-1)) as relay:
        refusal(using(tmp_path, relay, ca_file=authority.file), "expired")


def test_a_certificate_for_another_host_is_not_trusted(tmp_path: Path, server: Valkey, authority: Authority) -> None:
    with Relay(server.socket, authority.issue("elsewhere", ["redis.internal"])) as relay:
        refusal(using(tmp_path, relay, ca_file=authority.file), "(?i)hostname mismatch")
        refusal(using(tmp_path, relay, "127.0.0.1", ca_file=authority.file), "(?i)IP address mismatch")


def test_a_server_without_tls_is_not_spoken_to(tmp_path: Path, server: Valkey, authority: Authority) -> None:
    with Relay(server.socket) as relay:
        with pytest.raises(BrokerUnreachable, match="does not answer") as caught:
            poke(using(tmp_path, relay, ca_file=authority.file))
        assert caught.value.hint is not None
        assert "speak TLS" in caught.value.hint


def test_a_wrong_password_is_told_without_it(tmp_path: Path, authority: Authority, own_valkey: Valkey) -> None:
    with own_valkey.client() as client:
        client.acl_setuser("pixmill", enabled=True, passwords=[f"+{PASSWORD}"], commands=["+ping"])
    with Relay(own_valkey.socket, authority.issue("locked", SERVER)) as relay:
        for name, password, words in (("pixmill", "hunter2", "user and password"), ("pixmill", PASSWORD, "too little")):
            url = f"rediss://{name}:{password}@localhost:{relay.port}/0"
            flags = {"home": tmp_path, "broker.url": url, "broker.ca_file": authority.file}
            with pytest.raises(BrokerRefuses, match=words) as caught:
                poke(load_settings(flags=flags))
            assert password not in f"{caught.value}{caught.value.hint}"


def test_no_process_starts_beside_a_redis_that_is_not_trusted(tmp_path: Path, secured: Relay, sqlite_url: str) -> None:
    variables = {
        "PIXMILL_HOME": str(tmp_path / "home"),
        "PIXMILL_DATABASE_URL": sqlite_url,
        "PIXMILL_BROKER_URL": f"rediss://localhost:{secured.port}/0",
        "PIXMILL_BROKER_CA_FILE": str(Authority(tmp_path, "other").file),
    }
    command = [sys.executable, "-m", "cli", "scheduler", "run"]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (BrokerRefuses.exit_code, "")
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: the certificate of Redis is not trusted: ")
    assert hint.startswith("hint:  broker.ca_file")
    workspace = Workspace()
    workspace.settings = using(tmp_path, secured)
    for start in (partial(run_worker, workspace.settings, "cpu"), partial(prepare, workspace, ("cpu",))):
        with pytest.raises(BrokerRefuses, match="not trusted"):
            start()


def test_files_that_do_not_fit_are_named_before_anything_is_connected(
    tmp_path: Path, authority: Authority, secured: Relay
) -> None:
    ours, theirs = authority.issue("ours"), authority.issue("theirs")
    missing, empty = tmp_path / "missing.pem", tmp_path / "empty.pem"
    empty.touch()
    wrong: list[tuple[dict[str, Path], str]] = [
        ({"ca_file": missing}, "ca_file .*missing.pem cannot be read: No such file"),
        ({"ca_file": empty}, "ca_file .*empty.pem holds no certificate"),
        ({"cert_file": ours.certificate, "key_file": theirs.key}, "cert_file .*ours.pem and its key cannot be used"),
        ({"cert_file": ours.certificate}, "cert_file .*ours.pem and its key cannot be used"),
        ({"key_file": ours.key}, "key_file is set, but broker.cert_file is not"),
    ]
    for files, words in wrong:
        for way in WAYS:
            with pytest.raises(ConfigError, match=words):
                way(using(tmp_path, secured, "localhost", **files))


def test_a_key_with_a_password_is_refused_and_nobody_is_asked_for_it(
    tmp_path: Path, authority: Authority, secured: Relay
) -> None:
    ours = locked(authority.issue("locked-key"), tmp_path)
    with pytest.raises(ConfigError, match="cannot be used") as caught:
        poke(using(tmp_path, secured, ca_file=authority.file, cert_file=ours.certificate, key_file=ours.key))
    assert caught.value.hint is not None
    assert "without a password" in caught.value.hint


def locked(pair: Pair, folder: Path) -> Pair:
    from cryptography.hazmat.primitives import serialization as how

    key = how.load_pem_private_key(pair.key.read_bytes(), None)
    file = folder / "locked.key"
    encryption = how.BestAvailableEncryption(PASSWORD.encode())
    file.write_bytes(key.private_bytes(how.Encoding.PEM, how.PrivateFormat.PKCS8, encryption))
    return Pair(pair.certificate, file)


def test_files_for_a_connection_without_tls_are_an_error(tmp_path: Path, authority: Authority) -> None:
    flags = {"home": tmp_path, "broker.url": "redis://localhost:6379/0", "broker.ca_file": authority.file}
    with pytest.raises(ConfigError, match=r"broker\.ca_file is set, but broker\.url does not ask for TLS"):
        poke(load_settings(flags=flags))


def test_a_url_cannot_turn_verification_off(tmp_path: Path, secured: Relay) -> None:
    url = f"rediss://localhost:{secured.port}/0?ssl_cert_reqs=none"
    for way in WAYS:
        with pytest.raises(ConfigError, match="ssl_cert_reqs"):
            way(load_settings(flags={"home": tmp_path, "broker.url": url}))


def test_the_password_of_a_user_is_sent_after_the_handshake(
    tmp_path: Path, authority: Authority, own_valkey: Valkey
) -> None:
    with own_valkey.client() as client:
        client.config_set("requirepass", PASSWORD)
    with Relay(own_valkey.socket, authority.issue("default", SERVER)) as relay:
        flags = {"home": tmp_path, "broker.ca_file": authority.file}
        settings = load_settings(flags={**flags, "broker.url": f"rediss://:{PASSWORD}@localhost:{relay.port}/0"})
        for way in WAYS:
            way(settings)
    with Redis(unix_socket_path=str(own_valkey.socket), password=PASSWORD) as client:
        assert client.llen("pixmill.cpu") == 1
