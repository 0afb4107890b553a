"""The example manifests: valid by the schemas of Kubernetes, confined; and what KEDA asks is answered right."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from db.engine import Database, open_database
from db.tables.fleet import Device, DeviceKind, Worker
from db.tables.jobs import Job, Queue, Role, Task
from pixmill.sections import WorkerSettings
from pixmill.settings import load_settings
from pixmill.states import State
from tests.deploy.calls import check_call
from tests.deploy.composition import ROOT

FOLDER = ROOT / "deploy/kubernetes"
VERSIONS = ("1.31", "1.34")
FOREIGN = ("Kustomization", "TriggerAuthentication", "ScaledObject")  # whose schemas are not those of Kubernetes
PARTS = ("migrate", "scheduler", "worker-gpu", "dashboard")


def documents() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(FOLDER.glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            yield path.name, document


DOCUMENTS = list(documents())
NAMES = [f"{name}: {document['kind']}" for name, document in DOCUMENTS]


def of_kind(kind: str) -> dict[str, Any]:
    return next(document for _, document in DOCUMENTS if document["kind"] == kind)


def pod(part: str) -> Mapping[str, Any]:
    for _, document in DOCUMENTS:
        template = document.get("spec", {}).get("template")
        if template and template["metadata"]["labels"]["app.kubernetes.io/component"] == part:
            found: Mapping[str, Any] = template["spec"]
            return found
    raise AssertionError(f"there is no {part}")


def only_container(part: str) -> Mapping[str, Any]:
    (container,) = pod(part)["containers"]
    return dict(container)


@pytest.mark.parametrize(("name", "document"), DOCUMENTS, ids=NAMES)
def test_a_manifest_follows_the_schema_of_its_kind(name: str, document: dict[str, Any]) -> None:
    if document["kind"] in FOREIGN:
        assert document["apiVersion"].split("/")[0] in {"kustomize.config.k8s.io", "keda.sh"}
        return
    for version in VERSIONS:
        kubernetes_validate.validate(document, version, strict=True)


def test_all_of_it_is_applied_but_what_needs_keda() -> None:
    listed = set(of_kind("Kustomization")["resources"])
    assert {path.name for path in FOLDER.glob("*.yaml")} - listed == {"kustomization.yaml", "keda.yaml"}
    images = {image["name"] for image in of_kind("Kustomization")["images"]}
    assert {only_container(part)["image"] for part in PARTS} == images


@pytest.mark.parametrize("part", PARTS)
def test_a_pod_is_confined(part: str) -> None:
    """As the level `restricted` of the pod security standards asks, and with a read-only root file system."""
    spec, container = pod(part), only_container(part)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 10001
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("part", PARTS)
def test_what_a_pod_calls_are_commands_of_pixmill(part: str) -> None:
    container = only_container(part)
    check_call(container["args"])
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        command = container.get(probe, {}).get("exec", {}).get("command", ())
        words = " ".join(command).removeprefix("sh -c ").partition(";")[0].split()
        if words:
            assert words[0] == "pixmill"
            check_call(words[1:])


def test_secrets_are_those_that_are_made_and_nothing_holds_one() -> None:
    made = {each["name"]: each["files"] for each in of_kind("Kustomization")["secretGenerator"]}
    assert made.pop("pixmill-owner") == ["secrets/database_owner_url"]
    files = {path.removeprefix("secrets/") for path in made["pixmill"]}
    written = set(re.findall(r"^write (\S+)", (ROOT / "deploy/make-secrets").read_text(), flags=re.MULTILINE))
    assert files <= written
    named = {
        path for name in PARTS for path in re.findall(r"/run/secrets/(\w+)", " ".join(only_container(name)["args"]))
    }
    named |= {value.rpartition("/")[2] for key, value in of_kind("ConfigMap")["data"].items() if key.endswith("_FILE")}
    assert named == files
    assert all("password" not in str(document).lower() for _, document in DOCUMENTS)


def test_only_who_migrates_comes_as_the_owner() -> None:
    mounted = {part: str(pod(part)["volumes"]) for part in PARTS}
    assert [part for part in PARTS if "pixmill-owner" in mounted[part]] == ["migrate"]
    own = {each["name"]: each["value"] for each in only_container("migrate")["env"]}
    owner = {"PIXMILL_DATABASE_URL_FILE": "/run/secrets/database_owner_url", "PIXMILL_DATABASE_APP_ROLE": "pixmill"}
    assert own == owner
    assert "'name': 'pixmill'" in mounted["migrate"]


def test_pixmill_knows_its_settings(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [variable for variable in os.environ if variable.startswith("PIXMILL_")]:
        monkeypatch.delenv(variable)
    (tmp_path / "database_url").write_text("postgresql://pixmill:x@db/pixmill")
    (tmp_path / "broker_url").write_text("redis://pixmill:x@broker/0")
    for variable, value in of_kind("ConfigMap")["data"].items():
        monkeypatch.setenv(variable, value.replace("/run/secrets", str(tmp_path)))
    settings = load_settings()
    assert settings.broker_url == "redis://pixmill:x@broker/0"
    assert str(settings.storage_root) == "/data"


def test_a_worker_has_its_gpu_and_time_to_reach_a_checkpoint() -> None:
    assert only_container("worker-gpu")["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert pod("worker-gpu")["terminationGracePeriodSeconds"] > WorkerSettings().stop_grace_seconds + 10


def wanted(session: Session) -> int:
    """What KEDA reads."""
    (trigger,) = of_kind("ScaledObject")["spec"]["triggers"]
    return int(session.execute(text(trigger["metadata"]["query"])).scalar_one())


@pytest.fixture
def postgresql(postgres_url: str, tmp_path: Path) -> Iterator[Database]:
    """A migrated database on a real server: KEDA asks no other."""
    database = open_database(load_settings(flags={"home": tmp_path, "database.url": postgres_url}))
    yield database
    database.dispose()


def test_as_many_gpu_workers_are_wanted_as_there_is_work_for_them(postgresql: Database) -> None:
    with postgresql.write() as session:
        session.add_all([Queue(name="bulk"), Queue(name="closed", paused=True)])
        session.flush()
        workers = {kind: _add_worker(session, kind) for kind in DeviceKind}
        assert wanted(session) == 0

        pending = _add_tasks(session, 3, state=State.PENDING)  # for any device
        _add_tasks(session, 2, state=State.QUEUED, device_kind=DeviceKind.CUDA)
        _add_tasks(session, 1, state=State.RUNNING, worker_id=workers[DeviceKind.CUDA])
        assert wanted(session) == 6

        _add_tasks(session, 5, state=State.RUNNING, worker_id=workers[DeviceKind.CPU])
        _add_tasks(session, 5, state=State.PENDING, device_kind=DeviceKind.CPU)
        _add_tasks(session, 5, state=State.PENDING, blocked=True)
        _add_tasks(session, 5, state=State.PENDING, devices=4)  # of one worker, which has one
        _add_tasks(session, 5, state=State.HELD)
        _add_tasks(session, 5, state=State.SUCCEEDED, worker_id=workers[DeviceKind.CUDA])
        _add_tasks(session, 5, queue="closed", state=State.PENDING)
        assert wanted(session) == 6

        for moment, expected in (("now() + interval '1 hour'", 5), ("now() - interval '1 second'", 6)):
            session.execute(update(Task).where(Task.id == pending[0]).values(available_at=text(moment)))
            assert wanted(session) == expected

        _add_tasks(session, 1_200, state=State.PENDING)
        assert wanted(session) == 1_000


def _add_worker(session: Session, kind: DeviceKind) -> int:
    device = Device(host="node", name=f"{kind}", kind=kind, model="some", memory_bytes=1)
    session.add(device)
    session.flush()
    worker = Worker(name=f"node:{kind}", device_id=device.id, pid=1, version="0")
    session.add(worker)
    session.flush()
    return worker.id


def _add_tasks(session: Session, count: int, *, queue: str = "bulk", state: State, **columns: Any) -> list[int]:
    common = {"name": "", "spec": {}, "spec_digest": "", "options": {}, "labels": {}, "progress_total": 0}
    job = Job(kind="ping", state=state, queue=queue, priority=0, user_name="olga", **common)
    session.add(job)
    session.flush()
    of_task = {
        "params": {},
        "progress": {},
        "user_name": "olga",
        "priority": 0,
        "rank": 0,
        "queue": queue,
        "state": state,
        **columns,
    }
    tasks = [Task(job_id=job.id, number=number, role=Role.PING, **of_task) for number in range(count)]
    session.add_all(tasks)
    session.flush()
    return [task.id for task in tasks]
