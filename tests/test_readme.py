"""The README's code runs as it stands there."""

import re
from pathlib import Path

import pytest
from PIL import Image

README = Path(__file__).parents[1] / "README.md"


def test_the_ten_lines_of_python_train_and_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len([line for line in block.splitlines() if line.strip()]) <= 10

    exec(compile(block, str(README), "exec"), {})

    with Image.open(tmp_path / "digits.png") as picture:
        assert picture.size == (128, 128)
        assert len(picture.getcolors() or ()) > 50  # shades, not an empty sheet
