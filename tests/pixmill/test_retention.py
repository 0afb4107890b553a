import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixmill.retention import MOST_KEPT, Policy, parse_policy

COUNTS = st.none() | st.integers(1, MOST_KEPT)
SPANS = st.none() | st.sampled_from(["0", "90s", "1.5h", "30d"])


@given(COUNTS, COUNTS, SPANS, SPANS)
def test_a_written_policy_reads_back(last: int | None, best: int | None, champions: str, checkpoints: str) -> None:
    policy = Policy(last=last, best=best, champions=champions, checkpoints=checkpoints)
    assert parse_policy(str(policy)) == policy


def test_spans_are_seconds_and_versions_go_by_a_rule_for_versions_alone() -> None:
    policy = parse_policy(" last=5 , champions=30d,checkpoints=1h ")
    assert (policy.champion_seconds, policy.checkpoint_seconds, policy.lets_versions_go) == (30 * 86_400, 3600, True)
    assert not parse_policy("checkpoints=14d").lets_versions_go
    assert not parse_policy("none").lets_versions_go


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is no rule; write it like last=5"),
        ("lsat=5", "'lsat=5' is no rule; did you mean 'last'"),
        ("everything=1", "is no rule; write it like last=5"),
        ("last", "rule 'last' has no value"),
        ("last=", "rule 'last' has no value"),
        ("last=0", "rule 'last': 0 is not a whole number from 1 on"),
        ("last=-1", "rule 'last': '-1' is not a whole number"),
        ("best=1.5", "rule 'best': '1.5' is not a whole number"),
        ("last=99999999999", "rule 'last': 99999999999 is not"),
        ("champions=soon", "rule 'champions': 'soon' is not a time span"),
        ("checkpoints=9999999d", "rule 'checkpoints': '9999999d' is more than a century"),
        ("last=1,last=2", "rule 'last' is given twice"),
        ("last=1,none", "'none' is no rule"),
    ],
)
def test_a_bad_policy_is_one_clear_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as found:
        parse_policy(text)
    assert "\n" not in str(found.value)
