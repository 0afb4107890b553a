"""The Python client: submit, wait, look, act, and read what was made; it knows no terminal.

    from client import Client

Importing this package is cheap: what a call needs is loaded with it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from client.calls.submits import ArrayOptions, Options
    from client.client import Client
    from client.health import Check
    from client.jobs import Element, Job, Progress
    from client.models import Measurement, Model
    from client.outputs import Output
    from client.pipelines import PipelineRun, PipelineStep
    from client.reasons.reason import Reason
    from client.regenerating import Regenerated
    from client.schedules import ScheduleNow
    from client.submitting import Plan
    from client.why import Explanation

__all__ = [
    "ArrayOptions",
    "Check",
    "Client",
    "Element",
    "Explanation",
    "Job",
    "Measurement",
    "Model",
    "Options",
    "Output",
    "PipelineRun",
    "PipelineStep",
    "Plan",
    "Progress",
    "Reason",
    "Regenerated",
    "ScheduleNow",
]

_HOMES = {
    "ArrayOptions": "calls.submits",
    "Check": "health",
    "Client": "client",
    "Element": "jobs",
    "Explanation": "why",
    "Job": "jobs",
    "Measurement": "models",
    "Model": "models",
    "Options": "calls.submits",
    "Output": "outputs",
    "PipelineRun": "pipelines",
    "PipelineStep": "pipelines",
    "Plan": "submitting",
    "Progress": "jobs",
    "Reason": "reasons.reason",
    "Regenerated": "regenerating",
    "ScheduleNow": "schedules",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
