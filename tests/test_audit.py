"""What is told of what pip-audit found, and of a service that does not answer."""

import pytest

from tests import audit

KNOWN = {"name": "pillow", "version": "9.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["9.1"]}]}
FINE = {"name": "click", "version": "8.2", "vulns": []}
SKIPPED = {"name": "torch", "skip_reason": "not found on the index"}


def test_a_known_vulnerability_fails_and_what_was_not_checked_is_said() -> None:
    assert audit.judged({"dependencies": [KNOWN, FINE]}) == (1, ["pillow 9.0: PYSEC-1, mended in 9.1"])
    told = ["1 packages have no known vulnerability", "not checked: torch"]
    assert audit.judged({"dependencies": [FINE, SKIPPED]}) == (0, told)


def test_a_service_that_does_not_answer_is_no_failure_and_no_success(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "PROBE", "http://127.0.0.1:1/")
    assert audit.main([]) == 0
    assert capsys.readouterr().err.startswith("audit: not checked: the service does not answer")
