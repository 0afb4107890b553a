"""Chromium, node and their packages, for the tests that look at pages in a real browser."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("playwright-core", "axe-core", "html-validate")


def missing(what: str) -> None:
    """Where every check has to run a missing program is an error."""
    text = f"{what} is missing; make browser says how to get it"
    if os.environ.get("CI"):
        pytest.fail(text)
    pytest.skip(text)


def find_chromium() -> str:
    """The browser; a test that has none, or no node, or lacks their packages, is skipped."""
    found = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
    )
    if not found:
        missing("chromium")
    if shutil.which("node") is None:
        missing("node")
    if not all((ROOT / "node_modules" / package).is_dir() for package in PACKAGES):
        missing(f"one of the npm packages {', '.join(PACKAGES)}")
    return found


def problems(address: str, chromium: str, paths: Sequence[str], **variables: str) -> str:
    """What is wrong with the pages at these paths, a line each."""
    done = node(Path(__file__).with_name("browser.mjs"), address, chromium, *paths, variables=variables)
    return "\n".join(": ".join(words) for words in json.loads(done))


def node(script: Path, *arguments: str, variables: Mapping[str, str] | None = None) -> str:
    """What a script prints."""
    environment = {**os.environ, "NODE_PATH": str(ROOT / "node_modules"), **(variables or {})}
    line = ["node", str(script), *arguments]
    done = subprocess.run(line, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
