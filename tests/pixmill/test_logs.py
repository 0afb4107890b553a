"""Every event is one line, as text or as JSON, with what is known of process and work, and without passwords."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from pixmill.logs import JsonFormatter, LineFormatter, about, readable
from pixmill.times import parse_time

ROOT = Path(__file__).parents[2]
PROGRAM = """
import logging, threading, warnings
from pixmill.logs import about, log_to_stderr, name_process
log_to_stderr({wanted})
name_process(worker="h:cpu", device="cpu")
log = logging.getLogger("here")
log.debug("unseen")
with about(job=7, task=8, epoch=2, trace=None):
    log.info("two\\nlines at %s", "redis://:secret@host/0", extra={{"action": "try", "task": 9}})
try:
    1 / 0
except ZeroDivisionError:
    log.exception("it failed")
warnings.warn("look out")
thread = threading.Thread(target=lambda: [][0], name="short")
thread.start()
thread.join()
"""


def record(message: str, **facts: object) -> logging.LogRecord:
    return logging.getLogger("here").makeRecord("here", logging.INFO, "file", 1, message, (), None, extra=facts)


def lines(wanted: str, **environment: str) -> list[str]:
    program = [sys.executable, "-c", PROGRAM.format(wanted=wanted)]
    found = subprocess.run(program, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return found.stderr.splitlines()


def test_where_stderr_is_no_terminal_each_event_is_one_object() -> None:
    events = [json.loads(line) for line in lines("")]
    assert [event["message"].partition("\n")[0] for event in events][:2] == ["two", "it failed"]
    first, second, warning, thread = events
    assert list(first)[:4] == ["time", "level", "logger", "message"]
    assert parse_time(first["time"])
    assert (first["level"], first["logger"], first["action"]) == ("info", "here", "try")
    assert first["message"] == "two\nlines at redis://:***@host/0"
    assert (first["job"], first["task"], first["epoch"]) == (7, 9, 2), "what the event says goes first"
    assert "trace" not in first
    assert {(event["worker"], event["device"], event["pid"]) for event in events} == {("h:cpu", "cpu", first["pid"])}
    assert second["error"].endswith("ZeroDivisionError: division by zero")
    assert "job" not in second
    assert (warning["logger"], "look out" in warning["message"]) == ("py.warnings", True)
    assert (thread["thread_name"], "IndexError" in thread["error"]) == ("short", True)


def test_text_is_for_people_and_children_are_told_by_the_environment() -> None:
    found = lines("", PIXMILL_LOG_FORMAT="text", PIXMILL_LOG_LEVEL="error")
    assert found[0].split(maxsplit=1)[1].startswith("ERROR   here it failed")
    assert not any("two" in line for line in found)
    assert json.loads(lines('"json", "debug"', PIXMILL_LOG_FORMAT="text")[0])["message"] == "unseen"


def test_a_fact_cannot_take_the_place_of_the_event() -> None:
    told = json.loads(JsonFormatter().format(record("real", level="fake", time="never", thing=object)))
    assert (told["message"], told["level"], told["thing"]) == ("real", "info", "<class 'object'>")


def test_a_message_of_several_lines_stays_one() -> None:
    assert "\n" not in LineFormatter().format(record("one\ntwo\r", detail="three\nfour"))


@pytest.mark.parametrize("formatter", [JsonFormatter(), LineFormatter()])
def test_passwords_of_urls_are_masked_wherever_they_stand(formatter: logging.Formatter) -> None:
    url = "postgresql+psycopg://pixmill:hunter2@db.internal/pixmill"
    with about(place=url):
        text = formatter.format(record(f"at {url}", reason=url))
    assert "hunter2" not in text
    assert "pixmill:***@db.internal" in text


def test_lines_are_made_readable_again() -> None:
    line = JsonFormatter().format(record("started", action="start"))
    assert readable(line).endswith(" INFO    started")
    assert readable("Fatal: no luck") == "Fatal: no luck"
    assert readable("{no json") == "{no json"
    assert readable('{"message": 1}') == '{"message": 1}'
