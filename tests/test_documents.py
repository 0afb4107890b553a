"""The links of the documents lead somewhere, and stand on one line each; prose is as wide as code, and no wider."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *(path for room in ("docs", "benchmarks", "tests") for path in (ROOT / room).rglob("*.md")),
]
CODE = re.compile(r"```.*?```|`[^`]*`", flags=re.DOTALL)
WIDTH = 120  # as the linter has it
LINK = re.compile(r"\[[^][]*\]\(([^()]*)\)", flags=re.DOTALL)


@pytest.mark.parametrize("document", sorted(str(path.relative_to(ROOT)) for path in DOCUMENTS))
def test_links_stand_on_one_line_and_lead_to_a_file(document: str) -> None:
    path = ROOT / document
    links = list(LINK.finditer(CODE.sub("", path.read_text(encoding="utf-8"))))
    assert [link[0] for link in links if "\n" in link[0]] == []
    targets = [link[1].partition("#")[0] for link in links if "://" not in link[1]]
    assert [target for target in targets if not (path.parent / target).exists()] == []


@pytest.mark.parametrize("document", sorted(str(path.relative_to(ROOT)) for path in DOCUMENTS))
def test_prose_is_no_wider_than_code(document: str) -> None:
    prose = re.sub(r"```.*?```", "", (ROOT / document).read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = [line for line in prose.splitlines() if not line.startswith(("|", "    "))]
    assert [line for line in lines if len(line) > WIDTH] == []
