import json

import pytest

from imagemodels.errors import DataError
from imagemodels.evaluation import EvaluationReport


def test_a_report_survives_json(perfect: EvaluationReport) -> None:
    restored = EvaluationReport.from_json(perfect.to_json())
    assert restored == perfect
    assert restored.to_json() == perfect.to_json()


def test_a_metric_is_found_by_its_short_and_its_whole_name(perfect: EvaluationReport) -> None:
    assert perfect.metric("fd") is perfect.metric(f"fd@{perfect.feature_net}")
    with pytest.raises(DataError, match="has no metric 'fid'; it has usefulness@"):
        perfect.metric("fid")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1}', "null"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="not an evaluation report"):
        EvaluationReport.from_json(text)


def test_a_report_of_another_version_is_refused(perfect: EvaluationReport) -> None:
    document = json.loads(perfect.to_json()) | {"version": 2}
    with pytest.raises(DataError, match="of version 2; this reads 1"):
        EvaluationReport.from_json(json.dumps(document))
