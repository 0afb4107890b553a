"""Spans for OpenTelemetry: a submit, and of each attempt how long it waited, ran and took to be published.

They are exported by OTLP over HTTP where `pixmill[telemetry]` is installed and one of OpenTelemetry's own variables
names an endpoint; else nothing is imported, and nothing costs anything. A collector that is away loses spans, and keeps
nobody waiting for longer than its time-out.
"""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from threading import local
from typing import TYPE_CHECKING, Any

from pixmill import __version__
from pixmill.traces import given_trace_parent, new_trace_parent, span_id, submitting_as, trace_id

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

log = logging.getLogger(__name__)

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
TIMEOUTS = ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")
TIMEOUT_SECONDS = 2  # unless one of them says otherwise
FLUSH_MILLISECONDS = 3000
SERVICE = "pixmill"

_chosen = local()  # the id of the span that is made next


def are_wanted() -> bool:
    """Whether OpenTelemetry's variables name a place for spans."""
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    exporter = os.environ.get("OTEL_TRACES_EXPORTER") or "otlp"
    return exporter == "otlp" and not disabled and any(os.environ.get(name) for name in ENDPOINTS)


def record(
    name: str,
    *,
    parent: str,
    own: str | None = None,
    began_ns: int,
    ended_ns: int,
    attributes: Mapping[str, Any],
    error: str | None = None,
) -> None:
    """Tell of something that has ended.

    `parent` and `own` are traceparents of the same trace, times nanoseconds since 1970; `error` says what went wrong.
    """
    provider = _provider() if are_wanted() else None
    if provider is None:
        return
    from opentelemetry import trace
    from opentelemetry.trace.status import StatusCode

    above = trace.SpanContext(
        int(trace_id(parent) or "0", 16),
        int(span_id(parent), 16),
        is_remote=True,
        trace_flags=trace.TraceFlags(int(parent[-2:], 16)),
    )
    context = trace.set_span_in_context(trace.NonRecordingSpan(above))
    _chosen.span_id = None if own is None else int(span_id(own), 16)
    told = {f"pixmill.{key}": value for key, value in attributes.items() if value is not None}
    span = provider.get_tracer(SERVICE, __version__).start_span(name, context, start_time=began_ns, attributes=told)
    if error is not None:
        span.set_status(StatusCode.ERROR, error)
    span.end(ended_ns)


@contextmanager
def submit_span() -> Iterator[None]:
    """What is submitted meanwhile belongs to a span of its own, which is told of at the end."""
    if not are_wanted():
        yield
        return
    parent = given_trace_parent()
    own = new_trace_parent(parent)
    began, error = time.time_ns(), None
    try:
        with submitting_as(own):
            yield
    except Exception as raised:
        error = type(raised).__name__
        raise
    finally:
        record("submit", parent=parent, own=own, began_ns=began, ended_ns=time.time_ns(), attributes={}, error=error)
        flush()


def flush() -> None:
    """Send what was told so far, as far as it can be sent soon."""
    provider = _provider() if are_wanted() else None
    if provider is not None:
        provider.force_flush(FLUSH_MILLISECONDS)


@cache
def _provider() -> "TracerProvider | None":
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
    except ModuleNotFoundError:
        hint = "pip install 'pixmill[telemetry]'"
        log.warning("spans are not exported: OpenTelemetry is not installed", extra={"hint": hint})
        return None

    class Ids(RandomIdGenerator):
        """Gives a span the id that was chosen for it, by which others know it already."""

        def generate_span_id(self) -> int:
            chosen: int | None = getattr(_chosen, "span_id", None)
            _chosen.span_id = None
            return super().generate_span_id() if chosen is None else chosen

    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": SERVICE}
    resource = Resource.create({**named, "service.version": __version__})
    # At the end of a process nothing waits for a collector but `flush`.
    provider = TracerProvider(resource=resource, id_generator=Ids(), shutdown_on_exit=False)
    seconds = None if any(os.environ.get(name) for name in TIMEOUTS) else TIMEOUT_SECONDS
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=seconds)))
    return provider
