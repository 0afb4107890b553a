import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


def imported_by(*modules: str) -> set[str]:
    code = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=60
    )
    return set(found.stdout.split())


def test_the_parent_never_imports_torch() -> None:
    loaded = imported_by("worker.parent.main")
    assert not {"torch", "imagemodels.networks", "imagemodels.training.trainer"} & loaded
    assert {"celery", "sqlalchemy"} <= loaded


@pytest.mark.parametrize("module", ["worker.device.kinds", "worker.device.process"])
def test_the_device_process_knows_neither_database_nor_broker(module: str) -> None:
    assert not {"sqlalchemy", "celery", "redis", "kombu", "db", "scheduler"} & imported_by(module)


def test_pinning_comes_before_torch() -> None:
    assert not {"torch", "numpy"} & imported_by("worker.device.process")
