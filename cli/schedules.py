"""Schedules and their runs as table rows, and the documents that they submit."""

from datetime import UTC, datetime
from typing import Any

from cli.listing import Listing
from cli.output import Column
from client.values import spec_fields
from pixmill.errors import SpecError
from pixmill.pipelines import given_params, is_pipeline, parse_pipeline
from pixmill.quantities import scalar

COLUMNS = [
    Column(title="NAME", shrinks=True, least=8),
    Column(title="CRON"),
    Column(title="ZONE", shrinks=True, least=6, dropped=3),
    Column(title="STATE"),
    Column(title="NEXT"),
    Column(title="LAST", align="right", dropped=2),
    Column(title="RESULT"),
    Column(title="JOB", align="right", dropped=1),
    Column(title="REASON", shrinks=True, least=12),
]
RUN_COLUMNS = [
    Column(title="SCHEDULED FOR"),
    Column(title="DECIDED", dropped=2),
    Column(title="RESULT"),
    Column(title="JOB", align="right"),
    Column(title="BY", shrinks=True, dropped=1),
    Column(title="REASON", shrinks=True, least=16),
]
NEXT_COLUMNS = [
    Column(title="SCHEDULED FOR"),
    Column(title="IN", align="right"),
    Column(title="BEGINS", dropped=1),
    Column(title="SCHEDULE", shrinks=True, least=8),
    Column(title="NOTE", shrinks=True),
]

LISTING = Listing(schema="schedule_list", columns=COLUMNS)
RUN_LISTING = Listing(schema="schedule_run_list", columns=RUN_COLUMNS)
NEXT_LISTING = Listing(schema="schedule_time_list", columns=NEXT_COLUMNS)


def file_document(document: dict[str, Any]) -> dict[str, Any]:
    """What a schedule submits, as a file has it."""
    from client.documents import spec_document

    return parse_pipeline(document).document() if is_pipeline(document) else spec_document(document, {})


def document_fields(document: dict[str, Any]) -> dict[str, str]:
    """What a schedule submits, in some lines."""
    if not is_pipeline(document):
        return spec_fields(document)
    from cli.pipelines import plan_fields

    return plan_fields(parse_pipeline(document))


def read_document(source: str, flags: dict[str, Any]) -> dict[str, Any]:
    """What the schedule submits, from a file and the flags over it.  Raises SpecError or UserError."""
    from cli.pipelinefiles import naming
    from client.documents import merge, parse_document, read_documents
    from scheduler.scheduled import dated
    from scheduler.timetable import document_of

    documents = read_documents(source)
    if len(documents) > 1:
        raise SpecError(f"{source} holds {len(documents)} jobs; a schedule submits one", hint="add a schedule for each")
    if is_pipeline(documents[0]):
        with naming(source):
            return _pipeline_document(documents[0], flags)
    flags["options"] = {key: scalar(value) for key, value in flags["options"]}
    flags["labels"] = dict(flags["labels"])
    merged = merge(documents[0], {"name": flags.pop("job_name"), **flags})
    spec, options = parse_document(dated(merged, datetime.now(UTC)))
    return document_of(spec, options, merged.get("name"))


def _pipeline_document(document: dict[str, Any], flags: dict[str, Any]) -> dict[str, Any]:
    """The pipeline with the parameters that --set gives it; other flags are for jobs."""
    from cli.pipelinefiles import read_params
    from client.pipelines import pipeline_of

    spec = pipeline_of(document)
    for name, value in flags.items():
        if name != "options" and value not in (None, ()):
            option = {"job_name": "name", "labels": "label"}.get(name, name.replace("_seconds", "").replace("_", "-"))
            raise SpecError(f"--{option} is for a job, and {spec.name} is a pipeline", hint="write it into its steps")
    params = given_params(spec, read_params(spec, flags["options"]))
    return spec.model_copy(update={"params": params}).stored()
