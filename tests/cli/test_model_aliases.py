import json
from pathlib import Path

import pytest

from tests.cli.running import Runner
from tests.cli.world import World

WHY = ("--reason", "lower KID")


@pytest.fixture
def line(world: World) -> World:
    """Three versions of one model."""
    worker = world.worker()
    for _ in range(3):
        world.trained(worker, name="digits-vae")
    return world


def test_a_promotion_and_its_way_back(line: World, run: Runner, tmp_path: Path) -> None:
    evidence = tmp_path / "comparison.json"
    evidence.write_text('{"schema": "pixmill.model_comparison/1", "item": {"kid": [0.5, 0.25]}}', encoding="utf-8")
    assert run("model", "promote", "digits-vae@1", *WHY).code == 0
    found = run("model", "promote", "digits-vae@3", "--expect", 1, "--evidence", evidence, *WHY)
    assert (found.code, found.out) == (0, "")
    assert "digits-vae@champion stands for digits-vae@3, no longer for digits-vae@1" in found.err
    assert "digits-vae@previous stands for digits-vae@1" in found.err
    rows = [line.split()[:3] for line in run("model", "ls").lines]
    assert rows[:2] == [["MODEL", "ALIASES", "PRESET"], ["digits-vae@3", "champion", "vae"]]
    items = run("model", "versions", "digits-vae", "-o", "json").json["items"]
    assert [(item["version"], item["aliases"]) for item in items] == [(3, ["champion"]), (2, []), (1, ["previous"])]
    assert "aliases           champion" in run("model", "show", "digits-vae@champion").out
    moved = run("model", "rollback", "digits-vae", "--expect", 3, "-o", "json").json["item"]
    assert moved["moves"] == [
        {"alias": "champion", "from_version": 3, "to_version": 1},
        {"alias": "previous", "from_version": 1, "to_version": 3},
    ]
    history = run("model", "history", "digits-vae", "-o", "json").json["items"]
    assert [event["number"] for event in history] == [5, 4, 3, 2, 1]
    assert history[2]["evidence"] == json.loads(evidence.read_text())
    assert (history[0]["action"], history[0]["reason"], history[3]["reason"]) == ("rollback", None, "lower KID")
    table = run("model", "history", "digits-vae", "--alias", "champion").lines
    assert [line.split()[0] for line in table] == ["NUMBER", "4", "2", "1"]


def test_whoever_is_late_changes_nothing(line: World, run: Runner) -> None:
    run("model", "promote", "digits-vae@1", *WHY)
    late = run("model", "promote", "digits-vae@2", "--expect", 3, *WHY)
    assert late.code == 4
    assert "champion of digits-vae stands for digits-vae@1; expected was for digits-vae@3" in late.err
    assert run("model", "rollback", "digits-vae").code == 4
    assert run("model", "promote", "digits-vae@1", *WHY).err == "digits-vae@1 is champion already\n"
    run("model", "freeze", "digits-vae", "--reason", "delivery")
    frozen = run("model", "promote", "digits-vae@2", *WHY)
    assert (frozen.code, "is frozen: delivery" in frozen.err) == (4, True)
    assert "is frozen: delivery" in run("model", "versions", "digits-vae").err
    assert run("model", "freeze", "digits-vae", "--reason", "again").err == "model digits-vae was frozen already\n"
    assert run("model", "unfreeze", "digits-vae", "-o", "json").json["item"]["changed"] is True
    assert len(run("model", "history", "digits-vae").lines) == 1 + 3


def test_a_rehearsal_changes_nothing(line: World, run: Runner) -> None:
    for words in (
        ("promote", "digits-vae@2", *WHY),
        ("alias", "set", "digits-vae@2", "paper"),
        ("freeze", "digits-vae", *WHY),
    ):
        found = run("model", *words, "--dry-run")
        assert (found.code, found.err.splitlines()[-1]) == (0, "this was a rehearsal, nothing was changed")
    assert run("model", "rm", "digits-vae@2", "--dry-run").code == 0
    two = run("model", "promote", "digits-vae@1", "--evidence", "-", *WHY, stdin="a: 1\n---\na: 2\n")
    assert (two.code, "- holds 2 documents" in two.err) == (2, True)
    assert run("model", "history", "digits-vae", "-o", "json").json["items"] == []
    assert run("model", "history", "digits-vae").err == "nothing of model digits-vae was moved yet\n"


def test_own_names_are_used_like_versions(line: World, run: Runner) -> None:
    assert run("model", "alias", "set", "digits-vae@2", "paper").code == 0
    submitted = run("submit", "generate", "--model", "digits-vae@paper", "-n", 10, "-q")
    assert submitted.code == 0, submitted.err
    job = run("job", "show", submitted.out.strip(), "-o", "json").json["item"]
    assert job["spec"]["model"] == "digits-vae@2"
    assert job["tasks"][0]["params"]["aliases"] == {"digits-vae@2": "paper"}
    assert job["events"][0]["detail"] == "digits-vae@paper is digits-vae@2"
    assert "model: digits-vae@2" in run("job", "show", submitted.out.strip(), "--spec").out
    missing = run("submit", "generate", "--model", "digits-vae@papper", "-n", 10)
    assert (missing.code, "did you mean digits-vae@paper?" in missing.err) == (3, True)
    gone = run("model", "alias", "rm", "digits-vae", "paper", "-y")
    assert gone.err == "digits-vae@paper is gone; was digits-vae@2\n"
    assert run("model", "show", "digits-vae@paper").code == 3


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("promote", "digits-vae@1"), 2, "--reason"),
        (("promote", "digits-vae", *WHY), 2, "the newest is digits-vae@3"),
        (("promote", "digts-vae@1", *WHY), 3, "did you mean 'digits-vae'?"),
        (("promote", "digits-vae@1", "--evidence", "none.json", *WHY), 2, "none.json"),
        (("alias", "set", "digits-vae@1", "champion"), 2, "pixmill model promote"),
        (("alias", "rm", "digits-vae", "champion"), 2, "pixmill model rollback digits-vae"),
        (("history", "digts-vae"), 3, "did you mean 'digits-vae'?"),
        (("versions", "digts-vae"), 3, "did you mean 'digits-vae'?"),
    ],
)
def test_mistakes_get_one_line_and_a_hint(
    line: World, run: Runner, words: tuple[str, ...], code: int, said: str
) -> None:
    found = run("model", *words)
    assert (found.code, found.out) == (code, "")
    assert said in found.err


def test_what_a_database_cannot_keep_is_no_evidence(line: World, run: Runner, tmp_path: Path) -> None:
    for content in ('{"a": NaN}', '{"a": "\\u0000"}', "[1, 2]"):
        file = tmp_path / "evidence.json"
        file.write_text(content, encoding="utf-8")
        assert run("model", "promote", "digits-vae@1", "--evidence", file, *WHY).code == 2, content
    assert run("model", "history", "digits-vae", "-o", "json").json["items"] == []
