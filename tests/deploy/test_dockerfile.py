"""The Dockerfile: what hadolint finds, and what it cannot know. What its steps make is run by test_image.py."""

import fnmatch
import re
import subprocess
import sysconfig
from pathlib import Path

from tests.deploy.composition import ROOT, ours

DOCKERFILE = ROOT / "Dockerfile"
TEXT = DOCKERFILE.read_text(encoding="utf-8")
ROOMS = (
    "cli", "client", "db", "imagemodels", "pages", "pixmill", "reports", "scheduler", "server", "storage", "worker",
)  # fmt: skip


def stages() -> dict[str, str]:
    """Name of each stage → its text."""
    parts = re.split(r"^FROM ", TEXT, flags=re.MULTILINE)[1:]
    return {re.match(r"\S+ AS (\S+)", part)[1]: part for part in parts}  # type: ignore[index]


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sysconfig.get_path("scripts")) / "hadolint"
    found = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout + found.stderr) == (0, "")


def test_both_images_are_made_of_one_stage_that_is_not_root() -> None:
    found = stages()
    assert {service["build"]["target"] for service in ours().values()} == {"cpu", "cuda"} <= set(found)
    assert list(found)[-1] == "cpu", "what is built when no target is named"
    for target in ("cpu", "cuda"):
        assert found[target].startswith("runtime AS")
        assert "USER" not in found[target]
    assert "USER 10001:10001" in found["runtime"]
    assert {service["user"] for service in ours().values()} == {"10001:10001"}


def test_its_steps_are_the_script_that_is_tested() -> None:
    assert [step for step in re.findall(r"^RUN (.*)", TEXT, flags=re.MULTILINE) if "install" not in step] == []
    assert TEXT.count("deploy/image/install.sh /src /opt/pixmill") == 2


def test_the_builder_sees_what_the_wheel_is_made_of_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}
    assert let_in == {*ROOMS, "constraints.txt", "deploy/image", "LICENSE", "pyproject.toml", "README.md"}
    assert not any(fnmatch.fnmatch("secrets", rule) for rule in let_in)


def test_it_names_no_host_but_that_of_torch() -> None:
    """A build behind a mirror gives its own; none is baked in."""
    code = "\n".join(line for line in TEXT.splitlines() if not line.startswith("#"))
    assert re.findall(r"https?://([^/\s]+)", code) == ["download.pytorch.org"]
