"""Spans arrive at a real receiver of OTLP over HTTP, where one is named; and nobody waits for one that is away."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from pixmill.traces import given_trace_parent, new_trace_parent, span_id, submitting_as, trace_id
from scheduler import spans
from tests import rows
from tests.scheduler.desk import Desk
from tests.waiting import wait_until
from worker.assignment import Assignment
from worker.parent.spans import AttemptSpans
from worker.parent.watch import Watch

TRACE_PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@dataclass
class Collector:
    """What a receiver has got."""

    url: str
    resources: list[dict[str, Any]] = field(default_factory=list)
    spans: list[Any] = field(default_factory=list)

    def named(self, name: str) -> Any:
        return next(span for span in self.spans if span.name == name)


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
            for each in sent.resource_spans:
                found.resources.append({entry.key: entry.value.string_value for entry in each.resource.attributes})
                found.spans += [span for scope in each.scope_spans for span in scope.spans]
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Collector(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.url)
        spans._provider.cache_clear()
        yield found
        provider = spans._provider()
        assert provider is not None
        provider.shutdown()
        spans._provider.cache_clear()
        server.shutdown()


def attributes(span: Any) -> dict[str, Any]:
    return {entry.key: getattr(entry.value, entry.value.WhichOneof("value")) for entry in span.attributes}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_attempt_hangs_below_the_submit_that_hangs_below_whoever_called(
    collector: Collector, settings: Any, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACEPARENT", TRACE_PARENT)
    with spans.submit_span():
        job_id = Desk(database, settings).submit().job_id
    rows.queue(database)
    lease = rows.claimed(database, rows.add_worker(database))
    assert lease.trace_parent is not None
    own = new_trace_parent(lease.trace_parent)
    assignment = Assignment(
        job_id=lease.job_id, task_id=lease.task_id, epoch=1, role="train", job_name="x", spec={}, params={},
        folder="x", storage_root="/", threads=1, checkpoint_seconds=1.0, trace_parent=own,
    )  # fmt: skip
    watch = Watch(settings)
    watch.answer = "succeeded"
    attempt = AttemptSpans()
    attempt.begin()
    attempt.publish()
    attempt.end(lease, assignment, watch)
    spans.flush()
    wait_until(lambda: len(collector.spans) == 4)
    assert {span.trace_id.hex() for span in collector.spans} == {trace_id(TRACE_PARENT)}
    submit, wait, run, publish = (collector.named(name) for name in ("submit", "wait", "run", "publish"))
    assert submit.parent_span_id.hex() == span_id(TRACE_PARENT)
    assert submit.span_id.hex() == span_id(lease.trace_parent)
    assert wait.parent_span_id == run.parent_span_id == submit.span_id
    assert run.span_id.hex() == span_id(own)
    assert publish.parent_span_id == run.span_id
    assert attributes(run)["pixmill.job"] == job_id
    assert (attributes(run)["pixmill.outcome"], attributes(run)["pixmill.role"]) == ("succeeded", "train")
    assert run.start_time_unix_nano <= publish.start_time_unix_nano <= publish.end_time_unix_nano
    assert wait.end_time_unix_nano == run.start_time_unix_nano
    assert {resource["service.name"] for resource in collector.resources} == {"pixmill"}


def test_what_goes_wrong_is_an_error_and_a_trace_that_is_not_sampled_is_not_sent(collector: Collector) -> None:
    with pytest.raises(KeyError), spans.submit_span():
        raise KeyError
    with submitting_as(TRACE_PARENT.removesuffix("01") + "00"), spans.submit_span():
        assert given_trace_parent().endswith("-00"), "and so are those that follow from it"
    assert [(span.name, span.status.message) for span in collector.spans] == [("submit", "KeyError")]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_SDK_DISABLED": "true", spans.ENDPOINTS[0]: "http://x"},
        {"OTEL_TRACES_EXPORTER": "none", spans.ENDPOINTS[1]: "http://x"},
    ],
)  # fmt: skip
def test_where_no_endpoint_is_named_nothing_is_made(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert not spans.are_wanted()
    with spans.submit_span():
        spans.flush()


def test_a_collector_that_is_away_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    spans._provider.cache_clear()
    began = time.monotonic()
    with spans.submit_span():
        pass
    assert time.monotonic() - began < 20
    provider = spans._provider()
    assert provider is not None
    provider.shutdown()
    spans._provider.cache_clear()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (TRACE_PARENT, TRACE_PARENT),
        (TRACE_PARENT.upper(), TRACE_PARENT),
        ("00-" + "0" * 32 + "-00f067aa0ba902b7-01", None),
        ("nonsense", None),
        ("", None),
    ],
)
def test_the_environment_names_the_trace_or_a_new_one_begins(
    given: str, kept: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACEPARENT", given)
    found = given_trace_parent()
    assert found == kept if kept else len(found) == 55
    assert trace_id(found) is not None
    with pytest.raises(ValueError, match="no traceparent"):
        span_id("x")
