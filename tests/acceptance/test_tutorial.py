from pathlib import Path

import pytest

from tests.walk import REPOSITORY, shape, steps_of, walk


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["tutorial.md", "desk.md"])
def test_a_walk_goes_as_the_document_says(name: str, tmp_path: Path) -> None:
    document = (REPOSITORY / "docs" / name).read_text(encoding="utf-8")
    told = steps_of(document)
    assert all(step.output for step in told)  # written by `python -m tests.walk docs/NAME`
    for step, seen in zip(told, walk(document, tmp_path), strict=True):
        assert shape(seen.output) == shape(step.output), f"$ {step.command}"
