"""A short storm: whatever is killed, stopped, cut or spoilt, every promise is kept.

Most rows of the matrix run on SQLite, so a quick run has its storm on PostgreSQL.
"""

import pytest

from tests.faults.campaign import Campaign
from tests.faults.plant import Kind
from tests.faults.rough import SLOW

FAULTS = 100
SEED = 7


@pytest.mark.timeout(400)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"] if SLOW else ["postgresql"])
def test_a_storm_breaks_nothing(kind: Kind) -> None:
    report = Campaign(kind, faults=FAULTS, seed=SEED, quiet=True).run()
    assert report.violations == [], report.kept  # the homes with the evidence
    assert report.refused == []
    assert sum(report.faults.values()) >= FAULTS
    assert len(report.faults) > 12  # of every family some
