"""`pixmill demo` as a person at a terminal meets it: begun, and interrupted."""

import signal

import pytest

from db.engine import open_database
from db.listing import JobFilter, list_jobs
from pixmill.settings import Settings
from pixmill.states import State
from tests.local.conftest import Pixmill, processes_of
from tests.waiting import wait_until


def _states(settings: Settings) -> list[State]:
    database = open_database(settings)
    with database.read() as session:
        states = [line.job.state for line in list_jobs(session, JobFilter(), limit=None)]
    database.dispose()
    return states


def as_a_shell_reports(code: int) -> int:
    """128 + N for signal N: CPython ends itself by SIGINT if that came while it ran source text, caught or not."""
    return 128 - code if code < 0 else code


@pytest.mark.long
def test_ctrl_c_keeps_the_jobs_says_so_and_stops_what_the_demo_started(pixmill: Pixmill, settings: Settings) -> None:
    demo = pixmill.start("demo")
    assert demo.stdout is not None
    assert any(line.startswith("job 6: evaluate") for line in demo.stdout)
    wait_until(lambda: State.RUNNING in _states(settings), timeout=60)
    demo.send_signal(signal.SIGINT)
    output, _ = demo.communicate(timeout=60)
    assert as_a_shell_reports(demo.returncode) == 130, output
    assert "interrupted; jobs 1 2 3 4 5 6 are kept" in output
    assert "pixmill up" in output
    assert "Traceback" not in output
    assert processes_of(pixmill.home) == []
    assert _states(settings) == [State.PENDING] * 6
