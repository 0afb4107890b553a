"""What a message in Redis may be, and what Celery gets of it."""

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.names import HEAR_CANARY, RUN_TASK
from scheduler.transport import MAX_BYTES, Call, Unreadable, read_call, written


def packed(content: Any) -> str:
    return base64.b64encode(json.dumps(content).encode()).decode()


def message(task: object = RUN_TASK, numbers: object = (7, 3), **others: Any) -> bytes:
    return json.dumps({"headers": {"task": task}, "body": packed([numbers, {}, {}]), **others}).encode()


def test_a_wake_up_is_a_name_and_numbers_whatever_else_it_brings() -> None:
    extra = {"eta": "2099-01-01T00:00:00", "timelimit": [1, 1], "compression": "application/x-bz2", "task": RUN_TASK}
    body = packed([[7, 3], {"x": 1}, {"callbacks": [{"task": "os.system"}], "chain": [{"task": "os.system"}]}])
    found = read_call(json.dumps({"headers": extra, "body": body, "properties": {"reply_to": "x"}}).encode())
    assert found == Call(RUN_TASK, (7, 3))
    given_on = written(found, "tag")
    assert json.loads(base64.b64decode(given_on["body"])) == [[7, 3], {}, {}]
    assert (given_on["headers"]["eta"], given_on["headers"]["timelimit"]) == (None, [None, None])
    assert "compression" not in given_on["headers"]
    assert read_call(json.dumps(given_on).encode()) == found
    assert read_call(message(HEAR_CANARY, [9])) == Call(HEAR_CANARY, (9,))


HOSTILE = {
    "no JSON": b"\x00\xff{",
    "a number": b"7",
    "deep": b"[" * 9000,
    "long": b" " * (MAX_BYTES + 1),
    "no headers": b'{"body": ""}',
    "headers are a list": b'{"headers": [], "body": ""}',
    "no body": json.dumps({"headers": {"task": RUN_TASK}}).encode(),
    "a body that is no text": json.dumps({"headers": {"task": RUN_TASK}, "body": [1]}).encode(),
    "a body that is not packed": json.dumps({"headers": {"task": RUN_TASK}, "body": "%%%"}).encode(),
    "a body that is no list": json.dumps({"headers": {"task": RUN_TASK}, "body": packed({})}).encode(),
    "another task": message("celery.backend_cleanup"),
    "a task that is no text": message([RUN_TASK]),
    "too few numbers": message(numbers=[1]),
    "words": message(numbers=["1", "2"]),
    "true": message(numbers=[True, False]),
    "broken numbers": message(numbers=[1.5, 2]),
    "below nought": message(numbers=[-1, 2]),
    "huge": message(numbers=[2**63, 2]),
    "too long to be read": b'{"headers": {"task": "pixmill.run"}, "body": ' + b"9" * 5000 + b"}",
    "a time": b'{"__type__": "datetime", "__value__": 5}',
}


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE.keys())
def test_whatever_is_none_is_told_in_a_few_words(raw: bytes) -> None:
    with pytest.raises(Unreadable) as caught:
        read_call(raw)
    assert 0 < len(str(caught.value)) < 120
    assert str(caught.value).isprintable()


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.recursive(st.none() | st.integers() | st.text(), st.lists).map(message)))
def test_nothing_else_is_ever_raised(raw: bytes) -> None:
    with contextlib.suppress(Unreadable):
        read_call(raw)
