"""The rooms of the house: top-level packages, and what each may bring with it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = (
    "cli", "client", "db", "imagemodels", "pages", "pixmill", "reports", "scheduler", "server", "storage", "worker",
)  # fmt: skip
HEAVY = ("torch", "celery", "alembic")
LIGHT = {
    "scheduler.submit": (*HEAVY, "redis"),
    "db.views": (*HEAVY, "redis"),
    "client": (*HEAVY, "redis", "sqlalchemy", "pydantic", "click"),
    "client.client": (*HEAVY, "redis", "sqlalchemy", "click", "numpy", "PIL", "pyarrow"),
    "client.workspace": (*HEAVY, "redis", "sqlalchemy", "pydantic", "click"),
    "client.waiting": (*HEAVY, "redis", "sqlalchemy", "click"),
    "server.app": (*HEAVY, "redis", "click", "rich", "cli", "worker"),
    "cli.main": (*HEAVY, "redis", "sqlalchemy", "pydantic"),
    "pixmill.settings": (*HEAVY, "redis", "sqlalchemy"),
    "pixmill.specs": (*HEAVY, "redis", "sqlalchemy"),
    "imagemodels": (*HEAVY, "sqlalchemy", "redis", "click", "numpy"),
    "imagemodels.presets": (*HEAVY, "sqlalchemy", "redis", "click", "numpy"),
    "storage": (*HEAVY, "sqlalchemy", "redis"),
    "reports": (*HEAVY, "sqlalchemy", "redis"),
    "pages.night": (*HEAVY, "sqlalchemy", "redis", "click"),
}


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_every_room_is_imported_from_the_repository(tmp_path: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    code += "\n".join(f"import {room}; print({room}.__file__)" for room in ROOMS)
    found = run(code, tmp_path)
    assert found.returncode == 0, found.stderr
    assert [Path(line) for line in found.stdout.splitlines()] == [ROOT / room / "__init__.py" for room in ROOMS]


@pytest.mark.parametrize("module", LIGHT)
def test_a_light_module_brings_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*sorted(set(sys.modules) & {set(LIGHT[module])!r}))"
    found = run(code, ROOT)
    assert (found.returncode, found.stdout.strip()) == (0, ""), found.stderr


def test_every_folder_of_tests_is_a_package() -> None:
    folders = {file.parent for file in (ROOT / "tests").rglob("test_*.py")}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []
