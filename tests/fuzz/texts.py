"""Targets that read texts: specs, pipelines, gates, times, selectors, settings, addresses, messages."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from tests.fuzz import draw as st
from tests.fuzz.harness import Act, Refused, Target, Wrong
from tests.fuzz.strategies import (
    bent,
    damaged,
    documents,
    gates,
    pipelines,
    scalars,
    spec_texts,
    texts,
    values,
    written,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MOST_SHOWN = 10_000  # characters of a message, whatever was given


def alone(act: Callable[[Any], object]) -> Callable[[Path], AbstractContextManager[Act]]:
    """For a target that needs nothing."""

    @contextmanager
    def prepare(_folder: Path) -> Iterator[Act]:
        yield act  # type: ignore[misc]

    return prepare


def read_spec(case: tuple[str, str]) -> None:
    """A file that `submit -f` reads, and what would be stored of it."""
    from client.documents import parse_document, text_documents, yaml_text

    for document in text_documents(case[0], "the spec", case[1]):
        spec, options = parse_document(document)
        stored = json.dumps([spec.model_dump(mode="json"), options.model_dump(mode="json")], allow_nan=False)
        stored.encode()
        if "\\u0000" in stored.replace("\\\\", ""):
            raise Wrong("NUL would be stored")
        yaml_text(document)
        spec.digest()


def read_pipeline(text: str) -> None:
    """A file that `pipeline run` reads."""
    from client.documents import text_documents
    from client.pipelines import only_pipeline

    json.dumps(only_pipeline(text_documents(text, "the file"), "night.yaml").stored(), allow_nan=False).encode()


def read_gate(document: dict[str, Any]) -> None:
    """The limits of a gate."""
    from client.documents import parse_document

    parse_document(document)


def read_times(case: tuple[str, str]) -> None:
    """Cron expressions, blackouts, spans, counts, moments and policies."""
    from cli.params import parse_begin, parse_class_counts, parse_class_weights, parse_limit, parse_moment, parse_weight
    from pixmill.errors import UserError
    from pixmill.quantities import parse_count, parse_seconds
    from pixmill.retention import parse_policy
    from pixmill.times import parse_past, parse_time
    from scheduler.blackouts import parse_blackout
    from scheduler.cron import parse_cron

    text, zone = case
    readers: list[Callable[[str], object]] = [
        lambda each: parse_cron(each, zone).following(NOW, 3),
        lambda each: parse_blackout(each).covers(NOW),
        parse_seconds, parse_count, parse_time, parse_policy, parse_begin, parse_limit, parse_moment, parse_weight,
        parse_class_counts, parse_class_weights, partial(parse_past, now=NOW),
    ]  # fmt: skip
    for reader in readers:
        try:
            reader(text)
        except (UserError, ValueError) as error:
            if isinstance(error, UnicodeError) or len(str(error)) > MOST_SHOWN + 2 * len(text):
                raise Wrong(f"{reader}: {error!r:.200}") from error


def read_selectors(text: str) -> None:
    """References to models, data sets and rows, conditions, and what a pipeline may say of others."""
    import click

    from cli.params import JOB_ID
    from db.registry import parse_reference
    from imagemodels.data.source import check_dataset_name
    from imagemodels.errors import ModelError
    from pixmill.errors import PixmillError
    from pixmill.references import parse_condition, references_in, substituted
    from storage.querying import parse_condition as parse_row_condition

    readers: list[Callable[[str], object]] = [
        parse_reference, check_dataset_name, parse_condition, parse_row_condition,
        lambda each: list(references_in(each)), lambda each: substituted(each, lambda _reference: "x"),
        lambda each: JOB_ID.convert(each, None, None),
    ]  # fmt: skip
    for reader in readers:
        try:
            reader(text)
        except (PixmillError, ModelError, click.UsageError):
            continue


@contextmanager
def settings_files(folder: Path) -> Iterator[Act]:
    """Settings from a file that somebody else has written."""
    from pixmill.settings import load_settings

    file = folder / "pixmill.toml"

    def act(text: str) -> None:
        file.write_text(text, encoding="utf-8", errors="surrogateescape")
        load_settings(config=file)

    yield act


def read_address(case: tuple[str, bool]) -> None:
    """Where a webhook goes."""
    from pixmill.addresses import why_not
    from pixmill.notifications import check_url
    from pixmill.settings import load_settings

    acts: list[Callable[[], object]] = [
        lambda: check_url(case[0], allow_http=case[1], allow_private=not case[1]),
        lambda: why_not(case[0], allow_private=case[1]),
    ]
    for act in acts:
        try:
            act()
        except ValueError as error:
            if isinstance(error, UnicodeError):
                raise Wrong(repr(error)) from error
    load_settings(flags={"notify.url": case[0], "notify.allow_private": case[1]})


def read_message(raw: bytes) -> None:
    """A message as it lies in Redis, and what Celery makes of what is written instead."""
    from kombu.serialization import loads

    from scheduler.transport import Unreadable, read_call
    from scheduler.transport import written as rewritten

    try:
        call = read_call(raw)
    except Unreadable as error:
        if not str(error).isprintable() or len(str(error)) > 200:
            raise Wrong(str(error)) from None
        raise Refused from None
    message = rewritten(call, "tag")
    json.dumps(message)
    loads(json.dumps([call.numbers, {}, {}]), message["content-type"], "utf-8", accept={"application/json"})


def hear_lines(raw: bytes) -> None:
    """What a device process says to its parent."""
    from worker.channel import Channel

    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    try:
        theirs.sendall(raw[:60_000] + b"\n")
        theirs.close()
        for _ in range(200):
            if channel.receive(0.0) is None and channel.is_at_end:
                break
        else:
            raise Wrong("it comes to no end")
    finally:
        channel.close()


@contextmanager
def real_redis(folder: Path) -> Iterator[Act]:
    """Messages on the list of a real server, taken by the channel that a worker has."""
    import redis

    from pixmill.settings import load_settings
    from scheduler.messages import make_celery
    from scheduler.names import RUN_TASK, redis_url
    from scheduler.transport import Call
    from scheduler.transport import written as rewritten
    from tests.servers import running_valkey

    with running_valkey() as server:
        app = make_celery(load_settings(flags={"home": folder, "broker.url": server.url}))
        heard: list[Any] = []
        last = json.dumps(rewritten(Call(RUN_TASK, (0, 0)), "last"))
        with app.connection_for_read() as connection, redis.Redis.from_url(redis_url(server.url)) as client:
            queue: Any = app.amqp.queues["pixmill.cpu"]
            with connection.Consumer([queue], callbacks=[lambda body, _message: heard.append(body)], no_ack=True):

                def act(raw: bytes) -> None:
                    # One of ours after it: when that has arrived, the other was taken.
                    client.lpush("pixmill.cpu", raw, last)
                    while not heard or heard[-1] != [[0, 0], {}, {}]:
                        try:
                            connection.drain_events(timeout=0.05)
                        except TimeoutError:
                            continue
                    if len(heard) > 2 or any(each[1:] != [{}, {}] for each in heard):
                        raise Wrong(repr(heard))
                    heard.clear()

                yield act


def _wake_up() -> dict[str, Any]:
    from scheduler.names import RUN_TASK
    from scheduler.transport import Call
    from scheduler.transport import written as rewritten

    return rewritten(Call(RUN_TASK, (7, 3)), "tag")


_wake_ups = st.one_of(
    bent(_wake_up()).map(lambda value: json.dumps(value).encode()),
    damaged([json.dumps(_wake_up()).encode()]),
    values.map(lambda value: json.dumps(value).encode()),
)
_LINE = b'{"say":"progress","phase":"training","done":1,"total":2,"unit":"images"}\n'
_SETTINGS = """home = "x"
[database]
url = "sqlite:////tmp/x.db"
[broker]
url = "redis://localhost:6379/0"
[storage]
root = "y"
outputs = "s3://pictures/made"
[notify]
url = "https://hooks.example.org/x"
events = ["job.failed"]
[retention]
last = 5
quota = "1G"
"""
_cron_pieces = ["*", "0", "59", "*/7", "1-5", "L", "mon", "jan", "5,6", "60", "-1", "1-", "#2", "2#9", "*/0", "5-1/3"]
_cron_texts = st.one_of(
    texts,
    st.lists(st.sampled_from(_cron_pieces), most=6).map(" ".join),
    st.builds(
        "{}{}{}".format, st.integers(0, 9999), st.sampled_from(["", "s", "m", "h", "d", "w", "k", "M", "G", "x"]), texts
    ),
    st.builds(
        "{}-{} {}:{}-{}:{}".format, *[st.sampled_from(["Mon", "fri", "Sun", "xyz", ""])] * 2, *[st.integers(0, 99)] * 4
    ),
    st.builds("{}-{:02}-{:02}T{:02}:{:02}{}".format, st.integers(0, 9999), *[st.integers(0, 61)] * 4, texts),
    st.builds("last={},best={},champions={}".format, *[st.integers(-1, 99) | texts] * 3),
)
_zones = st.sampled_from(
    ["UTC"] * 40 + ["Europe/Zurich", "../../etc/passwd", "/etc/localtime", "posix/UTC", "", "a\0b"]
)
_urls = st.one_of(
    texts,
    st.builds(
        lambda scheme, user, host, rest: f"{scheme}://{user}{host}{rest}",
        st.sampled_from(["http", "https", "ftp", "HTTPS", "file"]),
        st.sampled_from(["", "", "me:x@", "@"]),
        st.sampled_from(
            ["127.0.0.1", "[::1]", "[::ffff:10.0.0.1]", "2130706433", "0x7f.1", "localhost", "a.example.org"]
        )
        | st.addresses()
        | texts,
        st.sampled_from(["", "/", ":80/x", ":99999", ":x", "/\r\nHost: y", "#f", "?q"]) | texts,
    ),
)


def targets(pixmill_errors: tuple[type[BaseException], ...]) -> list[Target]:
    """All of them."""
    known = {"allowed": pixmill_errors}
    pipeline_texts = pipelines.map(lambda each: written(each, ".yaml")) | st.builds(json.dumps, documents | scalars)
    messages = (read_message, _wake_ups)
    return [
        Target(name="specs", share=16_000, cases=spec_texts, prepare=alone(read_spec), **known),
        Target(name="pipelines", share=8_000, cases=pipeline_texts, prepare=alone(read_pipeline), **known),
        Target(name="gates", share=5_000, cases=gates, prepare=alone(read_gate), **known),
        Target(name="times", share=8_000, cases=st.tuples(_cron_texts, _zones), prepare=alone(read_times), **known),
        Target(name="selectors", share=6_000, cases=texts, prepare=alone(read_selectors), **known),
        Target(
            name="settings",
            share=3_000,
            cases=damaged([_SETTINGS.encode()]).map(_decoded),
            prepare=settings_files,
            **known,
        ),
        Target(
            name="addresses", share=4_000, cases=st.tuples(_urls, st.booleans()), prepare=alone(read_address), **known
        ),
        Target(name="messages", share=10_000, cases=messages[1], prepare=alone(messages[0]), **known),
        Target(name="redis", share=2_000, cases=_wake_ups, prepare=real_redis, **known),
        Target(name="lines", share=4_000, cases=damaged([_LINE, _LINE * 3]), prepare=alone(hear_lines), **known),
    ]


def _decoded(content: bytes) -> str:
    return content.decode(errors="surrogateescape")
