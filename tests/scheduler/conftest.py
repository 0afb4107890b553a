"""What tests of the scheduler share."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from db.engine import Database
from pixmill.settings import Settings
from tests.scheduler.desk import Desk

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Leave PostgreSQL to `make long`: each statement is tried on it by tests/db, and the whole by tests/faults."""
    for item in items:
        if item.path.is_relative_to(HERE) and "postgresql" in item.name:
            item.add_marker(pytest.mark.long)


@pytest.fixture
def desk(database: Database, settings: Settings) -> Desk:
    return Desk(database, settings)
