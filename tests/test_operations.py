"""docs/operations.md knows every word that the product says when something waits, fails or is wrong."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from pixmill.schedules import SkipReason
from pixmill.states import NO_NEW_DATA, FailureReason, SkipCause

ROOT = Path(__file__).parents[1]
DOCUMENT = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
FIRST_CELL = re.compile(r"^\| `([A-Za-z]+)` \|", flags=re.MULTILINE)
REPORTING = ("warning", "problem", "_silence")  # of the doctor: the first argument names the part


def section(title: str) -> set[str]:
    """The words in the first column of the tables below a heading."""
    start = DOCUMENT.index(f"### {title}\n")
    return set(FIRST_CELL.findall(DOCUMENT[start : DOCUMENT.index("\n### ", start + 1)]))


def waiting_reasons() -> set[str]:
    """The codes that `client.reasons` gives, but for what stands in brackets behind some."""
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "client/reasons").glob("*.py")]
    return {code for text in texts for code in re.findall(r'code=f?"([A-Z][A-Za-z]+)', text)} - {"Error"}


def doctor_parts() -> Iterator[str]:
    """The parts of all findings that are not well."""
    for path in sorted((ROOT / "cli/doctor").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = dict(_constants(tree))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _name(node.func) in REPORTING and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    yield str(first.value)
                elif isinstance(first, ast.Name) and first.id in names:
                    yield names[first.id]
                else:
                    assert isinstance(first, ast.Name)
                    assert first.id in {"name", "part"}, ast.unparse(node)  # those of `_inspect`, and of a caller


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        if isinstance(node, ast.Assign):
            first, value = node.targets[0], node.value
            pairs = [(first, value)]
            if isinstance(first, ast.Tuple) and isinstance(value, ast.Tuple):
                pairs = list(zip(first.elts, value.elts, strict=True))
            for target, what in pairs:
                if isinstance(target, ast.Name) and isinstance(what, ast.Constant):
                    yield target.id, str(what.value)


def _name(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def test_every_reason_to_wait_is_explained() -> None:
    words = waiting_reasons()
    assert {"Held", "BeginTime", "Priority", "Cancelling"} <= words
    assert words | set(SkipReason) | {SkipCause.CONDITION, NO_NEW_DATA} <= section("Why a job waits")


def test_every_reason_of_a_failure_is_explained_and_no_other() -> None:
    assert section("Why a job failed") == set(FailureReason)


def test_what_is_said_of_retries_is_what_happens() -> None:
    retried = {line.split("`")[1] for line in DOCUMENT.splitlines() if line.endswith("| with `--retries` |")}
    assert retried == {reason.value for reason in FailureReason if reason.is_retried}


def test_every_part_that_the_doctor_complains_about_is_explained() -> None:
    recorded = {"checkpoints", "shards", "models", "outputs", "runs", "bucket"}
    assert set(doctor_parts()) | recorded <= section("What the doctor finds")
