"""docker-compose.yml: valid for every profile, confined, without passwords, and of settings that pixmill knows."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from pixmill.settings import load_settings
from tests.deploy.calls import check_call
from tests.deploy.composition import COMPOSE, ROOT, composition, ours, seconds, services, variables

PROFILES = ("cpu", "gpu", "gpu1", "dashboard", "monitoring")
SECRET_WORDS = re.compile(r"password|secret|token|passwd|credential", re.IGNORECASE)
LONG_RUNNING = sorted(set(services()) - {"migrate"})


def test_it_follows_the_compose_specification() -> None:
    schema = json.loads((Path(__file__).parent / "compose-spec.json").read_text(encoding="utf-8"))
    problems = [f"{error.json_path}: {error.message}" for error in Draft7Validator(schema).iter_errors(composition())]
    assert problems == []


def test_docker_compose_takes_it_where_that_is_at_hand() -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not installed here; the schema of the specification is checked all the same")
    for profile in (None, *PROFILES):
        chosen = [] if profile is None else ["--profile", profile]
        words = [docker, "compose", "--file", str(COMPOSE), *chosen, "config", "--quiet"]
        found = subprocess.run(words, capture_output=True, text=True, check=False)
        assert (found.returncode, found.stderr) == (0, "")


def test_every_profile_stands_with_what_runs_without_any() -> None:
    """A service that another one waits for would be missing otherwise, and nothing would start."""
    assert {profile for service in services().values() for profile in service.get("profiles", ())} == set(PROFILES)
    for name, service in services().items():
        for other in service.get("depends_on", ()):
            needed = set(services()[other].get("profiles", ()))
            assert not needed or needed <= set(service.get("profiles", ())), f"{name} waits for {other}"


@pytest.mark.parametrize("name", services())
def test_a_service_is_confined(name: str) -> None:
    service = services()[name]
    uid = service["user"].partition(":")[0]
    assert uid.isdecimal()
    assert int(uid) > 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"] is True
    limits = service["deploy"]["resources"]["limits"]
    assert set(limits) == {"cpus", "memory", "pids"}
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}


@pytest.mark.parametrize("name", services())
def test_ports_are_those_of_this_host_alone(name: str) -> None:
    assert [port for port in services()[name].get("ports", ()) if not port.startswith("127.0.0.1:")] == []


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_what_runs_on_is_looked_at_and_restarted(name: str) -> None:
    service = services()[name]
    assert service["restart"] == "unless-stopped"
    check = service["healthcheck"]
    assert check["test"][0] in {"CMD", "CMD-SHELL"}
    assert seconds(check["timeout"]) < seconds(check["interval"])
    assert "stop_grace_period" in service


def test_images_are_pinned_by_version() -> None:
    foreign = {name: service["image"] for name, service in services().items() if name not in ours()}
    assert [image for image in foreign.values() if not re.search(r":v?\d+\.\d+", image)] == []
    assert {service["image"] for service in ours().values()} == {"pixmill:cpu", "pixmill:cuda"}


def test_secrets_are_files_that_are_made_for_it(tmp_path: Path) -> None:
    made = _make_secrets(tmp_path)
    listed = {name: Path(secret["file"]) for name, secret in composition()["secrets"].items()}
    assert {path.name for path in made.iterdir()} == set(listed) == {path.name for path in listed.values()}
    used = {name for service in services().values() for name in service.get("secrets", ())}
    assert used == set(listed)
    for service in services().values():
        paths = re.findall(r"/run/secrets/([\w.]+)", json.dumps(service))
        assert set(paths) <= set(service.get("secrets", ()))


def test_only_who_migrates_comes_as_the_owner() -> None:
    """And the server, which has to know its password."""
    seen = {
        secret: {name for name, service in services().items() if secret in service.get("secrets", ())}
        for secret in ("database_owner_url", "database_owner_password")
    }
    assert seen == {"database_owner_url": {"migrate"}, "database_owner_password": {"postgres"}}
    assert "database_url" not in services()["migrate"]["secrets"]


def _make_secrets(folder: Path) -> Path:
    words = [str(ROOT / "deploy/make-secrets"), "--mine", str(folder / "secrets")]
    subprocess.run(words, check=True, capture_output=True)
    return folder / "secrets"


@pytest.mark.parametrize("name", services())
def test_no_variable_holds_a_secret(name: str) -> None:
    environment = services()[name].get("environment", {})
    held = {key for key in environment if SECRET_WORDS.search(key) or key.upper().endswith("_URL")}
    assert {key for key in held if not key.endswith("_FILE")} == set()
    assert [word for word in services()[name].get("command", ()) if "://" in word and "127.0.0.1" not in word] == []


def test_no_variable_of_the_file_has_the_name_of_a_setting() -> None:
    """Whoever exports one for `docker compose` would have `pixmill` refuse it."""
    assert [name for name in variables() if name.startswith("PIXMILL_")] == []


@pytest.mark.parametrize("name", ours())
def test_pixmill_knows_its_settings(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = _make_secrets(tmp_path)
    for variable in [variable for variable in os.environ if variable.startswith("PIXMILL_")]:
        monkeypatch.delenv(variable)
    for variable, value in ours()[name]["environment"].items():
        monkeypatch.setenv(variable, str(value).replace("/run/secrets", str(secrets)))
    settings = load_settings()
    role = "pixmill_owner" if name == "migrate" else "pixmill"
    assert settings.database_url.startswith(f"postgresql://{role}:")
    assert settings.database.app_role == ("pixmill" if name == "migrate" else None)
    assert settings.broker_url.startswith("redis://pixmill:")
    assert str(settings.storage_root) == "/data"
    assert settings.home.is_relative_to("/tmp")
    if "worker" in name:
        assert seconds(ours()[name]["stop_grace_period"]) > settings.worker.stop_grace_seconds + 10


@pytest.mark.parametrize("name", ours())
def test_what_it_calls_are_commands_and_options_of_pixmill(name: str) -> None:
    service = ours()[name]
    calls = [service["command"]]
    test = service.get("healthcheck", {}).get("test", ())
    if "pixmill" in test:
        calls.append(test[test.index("pixmill") + 1 :])
    for call in calls:
        check_call([str(word) for word in call])


def test_a_gpu_belongs_to_one_worker() -> None:
    gpus: list[Any] = []
    hosts: list[str] = []
    for name, service in services().items():
        if name.startswith("worker"):
            hosts.append(service["hostname"])
        for device in service["deploy"]["resources"].get("reservations", {}).get("devices", ()):
            assert device["capabilities"] == ["gpu"]
            assert service["image"] == "pixmill:cuda"
            gpus += device["device_ids"]
    assert gpus == sorted(set(gpus))
    assert len(hosts) == len(set(hosts)) == len(gpus) + 1
