"""The blocks of docs/python.md run as they stand there, against a real line."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.worker.line import REPOSITORY, Line

DOCUMENT = REPOSITORY / "docs" / "python.md"


def test_what_the_document_says_of_python_can_be_run(
    sqlite_line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIXMILL_HOME", str(sqlite_line.home))
    monkeypatch.setenv("PIXMILL_DATABASE_URL", sqlite_line.settings.database_url)
    monkeypatch.setenv("PIXMILL_BROKER_URL", sqlite_line.settings.broker_url)
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) >= 9
    names: dict[str, Any] = {}
    for number, block in enumerate(blocks):
        exec(compile(block.replace("settings=…", "settings=None"), f"{DOCUMENT} (block {number})", "exec"), names)
    assert names["table"].num_rows == names["output"].images_count == 250
    assert [step.state for step in names["run"].steps] == ["succeeded", "succeeded"]
    assert (tmp_path / "seven.png").exists()
    said = capsys.readouterr().out
    assert "succeeded 100%" in said
    # On a machine that does much else it may take longer than the second that is waited for.
    assert re.search(r"^database (True|False no answer within a second)", said, re.MULTILINE)
    assert "there is no job 1000000000" in said
