"""A fixed situation, as tables and as JSON: what scripts and eyes rely on. Fields may be added, and never go.

To write the files anew after a wanted change: GOLDEN=write pytest tests/cli/test_golden.py
"""

import json
import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from db.control import drain_device
from db.queues import pause_queue, set_queue
from db.tables.fleet import DeviceKind
from pixmill import __version__
from pixmill.states import FailureReason
from tests.cli.running import Outcome, Runner, at_once
from tests.cli.world import World
from tests.rows import act

FOLDER = Path(__file__).with_name("golden")
SCREENS = {
    "ps": ("ps",),
    "ps-wide": ("ps", "-o", "wide"),
    "queue-ls": ("queue", "ls"),
    "worker-ls": ("worker", "ls"),
    "device-ls": ("device", "ls"),
    "model-ls": ("model", "ls"),
    "model-versions": ("model", "versions", "digits-vae"),
    "model-history": ("model", "history", "digits-vae"),
    "output-ls": ("output", "ls"),
    "schedule-ls": ("schedule", "ls"),
    "notify-ls": ("notify", "ls"),
}
DOCUMENTS = {
    **{name: (*words, "-o", "json") for name, words in SCREENS.items() if name != "ps-wide"},
    "job-show": ("job", "show", "4", "-o", "json"),
    "job-why": ("job", "why", "5", "-o", "json"),
    "model-show": ("model", "show", "digits-vae", "-o", "json"),
    "output-show": ("output", "show", "2", "-o", "json"),
}

SIZES = ("size_bytes", "bytes")  # of files, which other versions of a library write otherwise


def arrange(world: World, run: Runner) -> None:
    """Jobs in every state, on two devices and in two queues, a model, a data set, a schedule and a notification."""
    world.scheduler()
    cpu, gpu = world.worker(), world.worker("cuda:0", kind=DeviceKind.CUDA)
    world.trained(cpu, name="digits-vae")
    world.generated(cpu)
    failing = world.train(name="too-large", retries=0)
    world.fail(world.claim_by(cpu, failing), FailureReason.OUT_OF_MEMORY, "tried to allocate 2 GiB")
    world.train(name="night", labels={"project": "a"}, key="k")
    world.progress(world.claim(cpu), 4350)
    world.train(name="waiting", queue="bulk", priority=5, user="ann")
    world.train(name="kept", hold=True)
    world.database.transact(lambda session: pause_queue(session, "bulk", actor="olga", why="move of the rack"))
    world.database.transact(lambda session: set_queue(session, "default", actor="olga", max_running_per_user=4))
    act(world.database, drain_device, gpu.device_id, actor="olga", why="new driver")
    assert run("cancel", 6).code == 0
    world.train(name="after", after=[4])
    assert run("model", "promote", "digits-vae@1", "--reason", "first").code == 0
    file = world.home / "ping.yaml"
    file.write_text("kind: ping\n")
    assert run("schedule", "add", "nightly", "--cron", "30 2 * * *", "-f", file).code == 0


def as_recorded(text: str, world: World) -> str:
    """The text without what depends on the moment, the host or the folder; gaps between columns are two spaces."""
    text = at_once(text.replace(str(world.home), "HOME").replace(socket.gethostname(), "HOST"))
    text = re.sub(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?", "TIME", text)
    text = re.sub(r"\b\d+(\.\d)? kB", "SIZE", text.replace(__version__, "VERSION"))
    text = re.sub(r"\b(root|[\d,]+/s|[\d,]+\.\d/s|\d+[dhm]\d\d[hms])(?=\s|$)", "…", text)
    text = re.sub(r"\b([0-9a-f]{32}){1,2}\b", "DIGEST", text)
    return re.sub(r" {2,}", "  ", text)


def plain(value: Any, world: World) -> Any:
    """The same of JSON: of measured numbers the kind is kept."""
    if isinstance(value, dict):
        return {key: "NUMBER" if key in SIZES else plain(inner, world) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner, world) for inner in value]
    if isinstance(value, float):
        return "NUMBER"
    return as_recorded(value, world) if isinstance(value, str) else value


def missing(recorded: Any, found: Any, path: str = "$") -> list[str]:
    """Where what was recorded is not there any more; what was added is left out."""
    if isinstance(recorded, dict) and isinstance(found, dict):
        gone = [f"{path}.{key} is gone" for key in recorded.keys() - found.keys()]
        both = recorded.keys() & found.keys()
        return gone + [words for key in both for words in missing(recorded[key], found[key], f"{path}.{key}")]
    if isinstance(recorded, list) and isinstance(found, list) and len(recorded) == len(found):
        pairs = enumerate(zip(recorded, found, strict=True))
        return [words for number, pair in pairs for words in missing(*pair, f"{path}[{number}]")]
    return [] if recorded == found else [f"{path} was {recorded!r}, is {found!r}"]


def golden(name: str, text: str) -> str:
    file = FOLDER / name
    if os.environ.get("GOLDEN") == "write":
        file.write_text(text, encoding="utf-8")
    return file.read_text(encoding="utf-8")


def test_tables_and_json_of_a_fixed_situation_are_as_they_were(
    run: Runner, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "root")
    arrange(world, run)

    def succeed(*words: str) -> Outcome:
        found = run(*words)
        assert found.code == 0, (words, found.err)
        return found

    for name, words in SCREENS.items():
        shown = as_recorded(succeed(*words).out, world)
        assert shown.splitlines() == golden(f"{name}.txt", shown).splitlines(), name
    for name, words in DOCUMENTS.items():
        document = plain(succeed(*words).json, world)
        written = json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
        assert missing(json.loads(golden(f"{name}.json", written)), document) == [], name


def test_a_field_that_goes_is_noticed_and_one_that_comes_is_not() -> None:
    before = {"items": [{"id": 1, "name": "a"}]}
    assert missing(before, {"items": [{"id": 1, "name": "a", "more": 2}], "next": None}) == []
    assert missing(before, {"items": [{"id": 1}]}) == ["$.items[0].name is gone"]
    assert missing(before, {"items": [{"id": "1", "name": "a"}]}) == ["$.items[0].id was 1, is '1'"]
    assert missing(before, {"items": []}) == ["$.items was [{'id': 1, 'name': 'a'}], is []"]
