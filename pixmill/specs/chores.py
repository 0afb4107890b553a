"""The specs of what computes nothing."""

from typing import Literal

from pixmill.specs.base import BaseSpec, JobId


class PingSpec(BaseSpec):
    """Do nothing, but go through the whole line: shows that jobs are dispatched, run and finished."""

    kind: Literal["ping"] = "ping"


class ReportSpec(BaseSpec):
    """Write the page of a pipeline run below the storage root, where its readers look for it."""

    kind: Literal["report"] = "report"
    run: JobId  # of a pipeline
