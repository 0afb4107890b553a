"""One job in full, as a screen."""

from cli.jobtables import SHOWN_ROWS, print_attempts, print_events, print_gates, print_metrics, print_rates, print_tasks
from cli.metrics import metric_table
from cli.output import print_fields, print_title
from client.comparing import stored_metrics
from client.jobdetails import JobDetails
from client.jobfields import head_fields, result_fields
from client.values import spec_fields


def print_details(details: JobDetails) -> None:
    """Print the screen."""
    job = details.line.job
    print_title(f"job {job.id}  {job.title}")
    print_fields(head_fields(details))
    print_title("spec", gap=True)
    print_fields(spec_fields({"kind": job.kind, **job.spec}))
    _print_result(details)
    print_gates([row for result in details.results for row in result.get("gates", ())])
    rates = [rate for result in details.results for rate in result.get("rates", ())]
    print_rates(rates)
    if not rates:
        # A train job's are the figures of every predicted frame: its model has them all.
        most = SHOWN_ROWS if job.kind == "train" else None
        print_metrics(*metric_table(stored_metrics(details.metrics)), most)
    at = details.situation.at
    print_tasks(details.tasks, at)
    print_attempts(details.attempts, at)
    print_events(details.events)


def _print_result(details: JobDetails) -> None:
    fields: dict[str, str] = {}
    for result in details.results:
        fields |= result_fields(result, details.root)
    if fields:
        print_title("result", gap=True)
        print_fields(fields)
