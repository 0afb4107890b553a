import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.local.children import FIRST_PAUSE, GOOD_LIFE, LONGEST_PAUSE, Backoff, Child, exit_text


@given(st.lists(st.floats(0, 2 * GOOD_LIFE)))
def test_pauses_double_up_to_the_longest_and_begin_anew_after_a_good_life(lives: list[float]) -> None:
    backoff = Backoff()
    expected = FIRST_PAUSE
    for lived in lives:
        if lived >= GOOD_LIFE:
            expected = FIRST_PAUSE
        assert backoff.next_pause(lived) == pytest.approx(expected)
        expected = min(LONGEST_PAUSE, 2 * expected)


def _child(tmp_path: Path, *command: str) -> Child:
    return Child("scheduler", "scheduler", tmp_path / "log", lambda: subprocess.Popen(command))


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Child]:
    child = _child(tmp_path, "sleep", "600")
    yield child
    if child.process is not None:
        child.process.kill()
        child.take_in_end(expected=True)


def test_a_child_is_described_while_it_runs(sleeper: Child) -> None:
    assert sleeper.start()
    record = sleeper.record()
    assert record.mark is not None
    assert record.mark.is_alive()
    assert (record.exits, record.last_exit) == (0, None)


def test_an_unexpected_end_is_counted_and_delays_the_next_start(sleeper: Child) -> None:
    sleeper.start()
    sleeper.signal(signal.SIGKILL)
    select.select([sleeper.pidfd], [], [], 10.0)
    sleeper.take_in_end(expected=False)
    assert not sleeper.is_running
    assert sleeper.record().last_exit == "was ended by SIGKILL"
    assert sleeper.exits == 1
    assert sleeper.due_at > sleeper.started_at


def test_a_program_that_is_not_there_counts_as_an_end(tmp_path: Path) -> None:
    child = _child(tmp_path, str(tmp_path / "missing"))
    assert not child.start()
    assert child.exits == 1
    assert "No such file" in (child.last_exit or "")


def test_signals_to_a_child_that_does_not_run_go_nowhere(tmp_path: Path) -> None:
    child = _child(tmp_path, "true")
    child.signal(signal.SIGTERM)
    assert not child.is_running


def test_a_signal_without_a_name_is_told_by_its_number() -> None:
    assert exit_text(-40) == "was ended by signal 40"
