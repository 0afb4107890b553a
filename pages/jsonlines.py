"""Files with one JSON object a line, which somebody may still be writing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pixmill.errors import CorruptFile


def read_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file; none if it is missing, and a last line that has no end yet is left out.

    Raises CorruptFile for a line that is no JSON object.
    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith("\n"):
                    return
                yield _object(path, number, line)
    except FileNotFoundError:
        return
    except UnicodeDecodeError as error:
        raise CorruptFile(f"{path} is no text in UTF-8: {error}") from error


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise CorruptFile(f"{path}, line {number}: {error}") from error
    if not isinstance(found, dict):
        raise CorruptFile(f"{path}, line {number} is no JSON object")
    return found
