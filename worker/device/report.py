"""A report task: the page of a pipeline run, from facts that the parent has read and the files that they name."""

import logging
from typing import Any

from pixmill.errors import StorageError
from pixmill.runfacts import RunFacts
from storage.faults import named_faults
from worker.device.desk import Desk
from worker.device.warm import WarmModels

log = logging.getLogger("job")

FACTS = "facts"  # among the parameters of the assignment
PAGE = "page.html"


def run_report(desk: Desk, _warm: WarmModels) -> dict[str, Any]:
    """Write the page into the attempt's folder; it gets its place when the task is ended."""
    from pages.night import write_run_page  # what draws is needed once a night
    from reports.errors import ReportError

    facts = RunFacts.model_validate(desk.assignment.params[FACTS])
    desk.progress("drawing", 0, 1)
    path = desk.folder / PAGE
    try:
        with named_faults(path):
            write_run_page(facts, desk.layout, path)
    except ReportError as error:
        raise StorageError(f"the page of pipeline run {facts.id} cannot be drawn: {error}") from error
    size_bytes = path.stat().st_size
    log.info("the page of pipeline run %d has %d bytes", facts.id, size_bytes)
    desk.check_stop()
    return {"page": desk.layout.relative(path), "bytes": size_bytes}
