"""One request to a webhook: what is sent, how it is signed, and every way in which a receiver may not answer."""

import base64
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
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
send = partial(post, allow_private=True)  # the receiver is on this machine


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
    found = send(receiver.url, message(), SECRET.encode(), LONG)
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
    found = send(receiver.url, message(), None, SHORT if status is None and behaviour is not drop else LONG)
    assert time.monotonic() - began < LONG
    assert (found.status, found.error, found.is_receiver_ill) == (status, words, is_ill)
    assert found.retry_after_seconds == (7.0 if status == 429 else 0.0)
    (request,) = receiver.got
    assert "webhook-signature" not in request.headers


def test_headers_without_end_do_not_take_longer_than_a_try_may(receiver: Receiver) -> None:
    receiver.drips_lines = True
    receiver.will(drip)
    found = send(receiver.url, message(), None, SHORT)
    assert found.error == "no answer within 0.3 seconds"


def test_of_a_flood_no_more_than_a_little_is_read(receiver: Receiver) -> None:
    receiver.will(flood)
    found = send(receiver.url, message(), None, LONG)
    assert found.status == 500
    assert len(found.error or "") < SHOWN_LETTERS + 50 < ANSWER_BYTES


def test_where_nobody_listens_that_is_said() -> None:
    with receiving() as gone:
        pass
    found = send(gone.url, message(), None, LONG)
    assert (found.status, found.error) == (None, "ConnectionRefusedError: Connection refused")


def test_certificates_are_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving(CERTIFICATE) as receiver:
        found = send(receiver.url, message(), None, LONG)
        assert found.error == "its certificate is not accepted: self-signed certificate"
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
        assert send(receiver.url, message(), None, LONG).is_delivered
        elsewhere = send(receiver.url.replace("127.0.0.1", "localhost"), message(), None, LONG)
        assert "certificate is not valid for 'localhost'" in (elsewhere.error or "")
        receiver.will(drip)
        assert send(receiver.url, message(), None, SHORT).error == "no answer within 0.3 seconds"


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


def test_a_reason_in_the_status_line_cannot_write_on_a_terminal(receiver: Receiver) -> None:
    receiver.will(lambda handler: void(handler.wfile.write(b"HTTP/1.1 500 \x1b[2Jgone" + b"!" * 9000 + b"\r\n\r\n")))
    found = send(receiver.url, message(), None, LONG)
    assert (found.error or "").startswith("it answers 500 [2Jgone!!!")
    assert len(found.error or "") < SHOWN_LETTERS + 50


def void(_value: object) -> None:
    """For a lambda that shall give nothing."""


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("127.0.0.1", "this machine"),
        ("::1", "this machine"),
        ("::ffff:127.0.0.1", "this machine"),
        ("10.1.2.3", "a private address"),
        ("100.64.0.1", "a private address"),
        ("fd12::1", "a private address"),
        ("64:ff9b::192.168.0.1", "a private address"),
        ("2002:c0a8:1::1", "a private address"),
        ("0.1.2.3", "a private address"),
        ("169.254.169.254", "an address of a cloud's metadata"),
        ("::ffff:169.254.169.254", "an address of a cloud's metadata"),
        ("fd00:ec2::254", "an address of a cloud's metadata"),
        ("169.254.1.1", "a link-local address"),
        ("fe80::1%lo", "a link-local address"),
        ("0.0.0.0", "no address of one machine"),
        ("224.0.0.1", "no address of one machine"),
    ],
)
def test_a_name_that_stands_for_what_is_not_public_is_not_asked(
    monkeypatch: pytest.MonkeyPatch, address: str, reason: str
) -> None:
    names = Names(address)
    monkeypatch.setattr(socket, "getaddrinfo", names)
    found = post("https://hooks.example.org/x", message(), None, SHORT)
    assert found.status is None
    assert (found.error or "").startswith(f"nothing is sent to hooks.example.org at {address}, {reason}")
    is_by_setting = reason in ("this machine", "a private address")
    assert ("notify.allow_private" in (found.error or "")) is is_by_setting
    if not is_by_setting:
        assert send("https://hooks.example.org/x", message(), None, SHORT).error == found.error


def test_a_name_that_is_none_is_a_try_that_failed() -> None:
    assert "is no name of a host" in (post(f"https://{'x' * 80}.org/", message(), None, SHORT).error or "")


def test_a_name_is_looked_up_once_a_try_and_what_was_looked_at_is_asked(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    names = Names("169.254.169.254", "127.0.0.1")
    monkeypatch.setattr(socket, "getaddrinfo", names)
    url = receiver.url.replace("127.0.0.1", "hooks.example.org")
    assert send(url, message(), None, LONG).is_delivered, "one of its addresses may be used"
    assert names.asked == 1
    assert receiver.got[0].headers["Host"] == f"hooks.example.org:{receiver.server_port}"
    assert "nothing is sent" in (post(url, message(), None, LONG).error or "")
    names.addresses = ("169.254.169.254",)
    assert "metadata" in (send(url, message(), None, LONG).error or ""), "looked at again with each try"
    assert len(receiver.got) == 1


class Names:
    """A name service that says the same of every name."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked = 0

    def __call__(self, _host: str, port: int, **_wanted: Any) -> list[Any]:
        self.asked += 1
        return [
            (socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port))
            for each in self.addresses
        ]
