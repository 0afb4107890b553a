"""What tests of the scheduler share."""

import pytest

from db.engine import Database
from pixmill.settings import Settings
from tests.scheduler.desk import Desk


@pytest.fixture
def desk(database: Database, settings: Settings) -> Desk:
    return Desk(database, settings)
