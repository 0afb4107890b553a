from pathlib import Path

import pytest

from tests.walk import REPOSITORY, shape, steps_of, walk

TUTORIAL = REPOSITORY / "docs" / "tutorial.md"


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_new_users_walk_goes_as_the_tutorial_says(tmp_path: Path) -> None:
    document = TUTORIAL.read_text(encoding="utf-8")
    told = steps_of(document)
    assert all(step.output for step in told)  # written by `python -m tests.walk docs/tutorial.md`
    for step, seen in zip(told, walk(document, tmp_path), strict=True):
        assert shape(seen.output) == shape(step.output), f"$ {step.command}"
