"""The systemd units: what systemd-analyze says where it is at hand, and what it cannot know."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from pixmill.sections import WorkerSettings
from pixmill.settings import load_settings
from tests.deploy.calls import check_call
from tests.deploy.composition import ROOT, seconds

FOLDER = ROOT / "deploy/systemd"
SERVICES = sorted(path.name for path in FOLDER.glob("*.service"))
PIXMILL = "/opt/pixmill/bin/pixmill "
WORST_EXPOSURE = 2.0  # of 10, as systemd-analyze counts


def directives(name: str) -> Mapping[str, list[str]]:
    """Each directive with all its values."""
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", (FOLDER / name).read_text(encoding="utf-8"), flags=re.MULTILINE):
        found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_the_rights_of_a_container(name: str) -> None:
    found = directives(name)
    assert found["User"] == ["pixmill"]
    for key in ("NoNewPrivileges", "PrivateTmp", "ProtectHome", "ProtectKernelTunables", "RestrictSUIDSGID"):
        assert found[key] == ["yes"]
    assert found["ProtectSystem"] == ["strict"]
    assert found["CapabilityBoundingSet"] == [""]
    assert found["ReadWritePaths"] == ["/srv/pixmill"]
    assert "PrivateDevices" in found or found["DevicePolicy"] == ["closed"]


@pytest.mark.parametrize("name", SERVICES)
def test_what_it_calls_is_a_command_of_pixmill(name: str) -> None:
    (call,) = directives(name)["ExecStart"]
    assert call.startswith(PIXMILL)
    words = call.removeprefix(PIXMILL).replace("%i", "cuda:0").replace("%d", "/run/secrets").split()
    check_call(words)


@pytest.mark.parametrize("name", SERVICES)
def test_secrets_are_given_to_the_service_and_stand_nowhere(name: str, tmp_path: Path) -> None:
    subprocess.run([ROOT / "deploy/make-secrets", "--mine", tmp_path / "made"], check=True, capture_output=True)
    given = dict(text.split(":", 1) for text in directives(name)["LoadCredential"])
    for credential, path in given.items():
        assert path == f"/etc/pixmill/secrets/{credential}"
        assert (tmp_path / "made" / credential).is_file()
    used = re.findall(r"%d/(\w+)", (FOLDER / name).read_text(encoding="utf-8"))
    assert set(used) == set(given)


def test_only_who_migrates_comes_as_the_owner() -> None:
    given = {name: " ".join(directives(name)["LoadCredential"]) for name in SERVICES}
    assert [name for name in SERVICES if "owner" in given[name]] == ["pixmill-migrate.service"]
    assert "PIXMILL_DATABASE_APP_ROLE=pixmill" in directives("pixmill-migrate.service")["Environment"]


def test_pixmill_knows_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (FOLDER / "pixmill.env").read_text(encoding="utf-8").splitlines()
    set_here = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    for name in SERVICES:
        set_here |= dict(word.split("=", 1) for word in " ".join(directives(name)["Environment"]).split())
    for variable in [variable for variable in os.environ if variable.startswith("PIXMILL_")]:
        monkeypatch.delenv(variable)
    for file in ("database_url", "database_owner_url"):
        (tmp_path / file).write_text("postgresql://pixmill:x@db/pixmill")
    (tmp_path / "broker_url").write_text("redis://pixmill:x@broker/0")
    for variable, value in set_here.items():
        monkeypatch.setenv(variable, value.replace("%d", str(tmp_path)))
    settings = load_settings()
    assert settings.broker_url == "redis://pixmill:x@broker/0"
    assert str(settings.storage_root) == "/srv/pixmill"
    assert directives("pixmill-worker@.service")["StateDirectory"] == [settings.home.name]


def test_a_worker_has_more_time_than_it_needs_to_reach_a_checkpoint() -> None:
    (span,) = directives("pixmill-worker@.service")["TimeoutStopSec"]
    assert seconds(span) > WorkerSettings().stop_grace_seconds + 10


def test_systemd_finds_nothing(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed here; what the units say is checked all the same")
    for path in FOLDER.iterdir():
        # It looks for the program, and for an instance of the template; a colon would mean something else to it.
        text = path.read_text(encoding="utf-8").replace(PIXMILL, "/bin/true ")
        (tmp_path / path.name.replace("@.", "@cpu.")).write_text(text)
    variables = {**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    for unit in sorted([*tmp_path.glob("*.service"), *tmp_path.glob("*.target")]):
        found = _analyse("verify", "--man=no", str(unit), environment=variables)
        assert found == "", unit.name
        if unit.suffix == ".service":
            said = _analyse("security", "--offline=true", str(unit), environment=variables)
            assert float(said.rsplit("service: ", 1)[1].split()[0]) <= WORST_EXPOSURE, said


def _analyse(*words: str, environment: Mapping[str, str]) -> str:
    command = ["systemd-analyze", *words]
    found = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return found.stdout
