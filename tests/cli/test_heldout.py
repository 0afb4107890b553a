import json
from pathlib import Path

import pytest

from client.jobreport.heldout import class_accuracies, read_confusion
from pixmill.errors import CorruptFile


def test_shares_are_of_the_true_class_and_a_class_without_images_has_none(tmp_path: Path) -> None:
    path = tmp_path / "held-out.json"
    path.write_text(json.dumps({"classes": ["a", "b", "c"], "confusion": [[3, 1, 0], [0, 0, 0], [0, 2, 2]]}))
    assert class_accuracies(read_confusion(path)) == {"a": 0.75, "c": 0.5}


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"classes": ["a"], "confusion": [[1, 2]]}', '{"classes": ["a"], "confusion": [["x"]]}'],
)
def test_another_file_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "held-out.json"
    path.write_text(text)
    with pytest.raises(CorruptFile, match="is no table of held-out images"):
        read_confusion(path)
