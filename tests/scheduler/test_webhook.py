"""One request to a webhook: what is sent, how it is signed, and every way in which a receiver may not answer."""

import base64
import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pixmill.errors import ConfigError
from pixmill.notifications import KINDS, Body
from scheduler.webhook import ANSWER_BYTES, SHOWN_LETTERS, Message, make_message, post, read_key, signed_headers
from tests.receiver import Behaviour, Receiver, answer, drip, drop, flood, hang, receiving

DOCS = Path(__file__).parents[2] / "docs"
CERTIFICATE = Path(__file__).parent / "loopback.pem"
SECRET = "a secret of the night shift"
FACTS = {"job_id": 12, "name": "Nacht – 夜", "reason": "OOM", "message": 'a "quoted"\nline'}
AT = datetime(2026, 11, 22, 2, tzinfo=UTC)
SHORT = 0.3  # seconds that a try may take where it shall not succeed
LONG = 20.0


def message(token: str = "0" * 32) -> Message:
    return make_message(token, "job.failed", "job 12", FACTS, at=AT)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


@pytest.fixture(scope="module")
def is_genuine() -> Callable[..., bool]:
    """The receiver's side, as the documentation has it."""
    page = (DOCS / "notifications.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(block, "notifications.md", "exec"), names)
    found: Callable[..., bool] = names["is_genuine"]
    return found


def test_it_arrives_signed_as_the_documentation_says(receiver: Receiver, is_genuine: Callable[..., bool]) -> None:
    found = post(receiver.url, message(), SECRET.encode(), LONG)
    assert (found.status, found.error, found.is_delivered) == (200, None, True)
    (request,) = receiver.got
    assert request.path == "/hook?team=night"
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["webhook-id"] == "0" * 32
    assert is_genuine(SECRET, request.headers, request.body)
    assert not is_genuine("another secret", request.headers, request.body)
    assert not is_genuine(SECRET, request.headers, request.body.replace(b"12", b"13"))
    assert not is_genuine(SECRET, {**request.headers, "webhook-id": "1" * 32}, request.body)
    old = signed_headers(message(), SECRET.encode(), int(time.time()) - 3600)
    assert is_genuine(SECRET, old, request.body, tolerance_seconds=7200)
    assert not is_genuine(SECRET, old, request.body)


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The example of that specification's own libraries."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    example = Message("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}')
    signature = signed_headers(example, key, 1614265330)["webhook-signature"]
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_body_is_what_the_schema_describes() -> None:
    schema = json.loads((DOCS / "notification.schema.json").read_text(encoding="utf-8"))
    assert schema == {"$schema": "https://json-schema.org/draft/2020-12/schema", **Body.model_json_schema()}
    document = json.loads(message().body)
    assert set(document) == set(schema["required"]) == set(schema["properties"])
    assert document["data"] == FACTS
    assert document["text"] == 'pixmill: job 12 (Nacht – 夜) failed: OOM: a "quoted" line'
    assert (document["version"], document["timestamp"]) == (1, "2026-11-22T02:00:00.000Z")
    page = (DOCS / "notifications.md").read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f"`{kind}`" not in page] == []


@pytest.mark.parametrize(
    ("behaviour", "status", "words", "is_ill"),
    [
        (answer(500, b"no\x1b[31m  room\n"), 500, "it answers 500 Internal Server Error: no[31m room", True),
        (answer(400), 400, "it answers 400 Bad Request", False),
        (answer(302, Location="/elsewhere"), 302, "it answers 302 Found (redirects are not followed)", False),
        (answer(429, Retry_After="7"), 429, "it answers 429 Too Many Requests", True),
        (drop, None, "RemoteDisconnected: Remote end closed connection without response", True),
        (hang, None, "no answer within 0.3 seconds", True),
        (drip, None, "no answer within 0.3 seconds", True),
    ],
)
def test_whatever_else_it_answers_is_a_failure(
    receiver: Receiver, behaviour: Behaviour, status: int | None, words: str, is_ill: bool
) -> None:
    receiver.will(behaviour)
    began = time.monotonic()
    found = post(receiver.url, message(), None, SHORT if status is None and behaviour is not drop else LONG)
    assert time.monotonic() - began < LONG
    assert (found.status, found.error, found.is_receiver_ill) == (status, words, is_ill)
    assert found.retry_after_seconds == (7.0 if status == 429 else 0.0)
    (request,) = receiver.got
    assert "webhook-signature" not in request.headers


def test_headers_without_end_do_not_take_longer_than_a_try_may(receiver: Receiver) -> None:
    receiver.drips_lines = True
    receiver.will(drip)
    found = post(receiver.url, message(), None, SHORT)
    assert found.error == "no answer within 0.3 seconds"


def test_of_a_flood_no_more_than_a_little_is_read(receiver: Receiver) -> None:
    receiver.will(flood)
    found = post(receiver.url, message(), None, LONG)
    assert found.status == 500
    assert len(found.error or "") < SHOWN_LETTERS + 50 < ANSWER_BYTES


def test_where_nobody_listens_that_is_said() -> None:
    with receiving() as gone:
        pass
    found = post(gone.url, message(), None, LONG)
    assert (found.status, found.error) == (None, "ConnectionRefusedError: Connection refused")


def test_certificates_are_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving(CERTIFICATE) as receiver:
        found = post(receiver.url, message(), None, LONG)
        assert found.error == "its certificate is not accepted: self-signed certificate"
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
        assert post(receiver.url, message(), None, LONG).is_delivered
        elsewhere = post(receiver.url.replace("127.0.0.1", "localhost"), message(), None, LONG)
        assert "certificate is not valid for 'localhost'" in (elsewhere.error or "")
        receiver.will(drip)
        assert post(receiver.url, message(), None, SHORT).error == "no answer within 0.3 seconds"


def test_a_secret_is_read_from_its_file_and_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "key"
    assert read_key(None) is None
    file.write_text(f"  {SECRET}\n")
    assert read_key(file) == SECRET.encode()
    file.write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")
    assert read_key(file) == base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    for content, words in (
        ("hunter2", "holds 7 bytes; 16 are the least"),
        ("whsec_h%unter2", "no base64 after whsec_"),
    ):
        file.write_text(content)
        with pytest.raises(ConfigError, match=words) as caught:
            read_key(file)
        assert "hunter" not in caught.value.message
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_key(tmp_path / "none")
