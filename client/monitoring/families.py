"""What metrics there are. No label has a value for each job, user or run: their number is that of what operators made.

Counters are read from `db.totals`: they never fall, whatever becomes of the rows that were counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

PREFIX = "pixmill_"
DEVICE = ("host", "device")


@dataclass(frozen=True)
class Family:
    """One metric: what it tells, and by what it is told apart."""

    name: str
    kind: Literal["gauge", "counter"]
    help: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sample:
    """One number, with its labels in the order of the family."""

    labels: Sequence[str]
    value: float


Readings = Mapping[str, Sequence[Sample]]  # by the name of the family, without the prefix


def _gauge(name: str, told: str, *labels: str) -> Family:
    return Family(name, "gauge", told, labels)


def _counter(name: str, told: str, *labels: str) -> Family:
    return Family(name, "counter", told, labels)


FAMILIES: tuple[Family, ...] = (
    _gauge("build_info", "always 1; the version of pixmill that tells this", "version"),
    _gauge("database_up", "1: the database answered in time; 0: it did not, and nothing more is told"),
    _gauge("schema_current", "1: the schema is the one that this pixmill works with", "revision", "expected"),
    _gauge("scrape_duration_seconds", "how long it took to read all this from the database"),
    _gauge("totals_complete", "1: all that there was has been counted; until then counters have no values"),
    _gauge("schedulers_alive", "schedulers that were heard of within a lease"),
    _gauge("scheduler_heartbeat_age_seconds", "since a scheduler was last heard of, the latest of each host", "host"),
    _gauge("broker_up", "1: no scheduler that is alive has trouble to send wake-ups; 0: one has"),
    _gauge("devices", "devices by what they do; lost: its worker ended without a word within a day", "state"),
    _gauge("device_state", "always 1; what the device does", *DEVICE, "kind", "state"),
    _gauge("worker_heartbeat_age_seconds", "since the worker of a device was last heard of", *DEVICE),
    _gauge("device_utilisation_ratio", "0 to 1: how busy the device was when its worker last told", *DEVICE),
    _gauge("device_memory_used_bytes", "memory of the device that is taken, by whoever it is", *DEVICE),
    _gauge("device_memory_bytes", "memory that the device has", *DEVICE),
    _gauge("tasks", "tasks that have not ended, by state", "queue", "state"),
    _gauge("tasks_active", "tasks that run, or whose wake-up is on its way, by what they do", "queue", "role", "state"),
    _gauge("tasks_waiting", "tasks that wait, by the first reason that holds", "queue", "reason"),
    _gauge("tasks_startable", "tasks that a free device could run at this moment; 100 stand for more"),
    _gauge("queue_oldest_waiting_age_seconds", "since the submit of the oldest task that waits for no other", "queue"),
    _gauge("queue_paused", "1: an operator lets nothing start from the queue", "queue"),
    _counter("jobs_submitted", "jobs that were submitted", "kind"),
    _counter("jobs_ended", "jobs that ended; reason: of those that failed", "kind", "state", "reason"),
    _counter("attempts_started", "tasks that a worker took", "role"),
    _counter("attempts_ended", "how they ended; lost: the worker went silent", "role", "outcome"),
    _counter("images_written", "images of tasks that succeeded", "role"),
    _counter("notifications_given_up", "notifications that nobody has got, and that are tried no more"),
    _counter("schedule_runs", "times of a schedule, by what became of them", "schedule", "outcome"),
    _gauge("schedule_late_seconds", "since a run of the schedule is due that has not begun", "schedule"),
    _gauge("schedule_last_success_age_seconds", "since the time of the last run that went well", "schedule"),
    _gauge("schedule_last_run", "always 1; how the last run of the schedule stands", "schedule", "result"),
    _gauge("schedule_last_run_age_seconds", "since the time of the last run of the schedule", "schedule"),
    _gauge("notifications", "notifications that are kept, by state", "state"),
    _gauge("notifications_undelivered", "notifications that were tried in vain so far, or given up"),
    _gauge("champion_age_seconds", "since the champion of a model became it", "model"),
    _gauge("storage_free_bytes", "free on the file system of the storage root, as whoever tells this sees it"),
    _gauge("storage_bytes", "size of the file system of the storage root"),
)  # fmt: skip


def exposed_names() -> list[str]:
    """Names of all samples, as a query spells them."""
    return [PREFIX + family.name + ("_total" if family.kind == "counter" else "") for family in FAMILIES]


def in_words_of_prometheus(readings: Readings) -> "list[CounterMetricFamily | GaugeMetricFamily]":
    """All families, those without a value too."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    found: list[CounterMetricFamily | GaugeMetricFamily] = []
    for family in FAMILIES:
        make = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
        metric = make(PREFIX + family.name, family.help, labels=family.labels)
        for sample in readings.get(family.name, ()):
            metric.add_metric(list(sample.labels), sample.value)
        found.append(metric)
    return found
