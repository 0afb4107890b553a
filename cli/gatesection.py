"""From the result of a gate job to the section of a report that shows it."""

from cli.formatting import value_text
from cli.jobsource import JobSource
from reports.gates import GateLine, GateSection


def gate_section(source: JobSource) -> GateSection | None:
    """The section; None until the job has ended."""
    result = source.result("gate")
    if not result:
        return None
    aliases = result["aliases"]
    model, against = (_named(result[key], aliases) for key in ("model", "against"))
    return GateSection(
        verdict=result["verdict"],
        model=model,
        against=against,
        lines=[GateLine(**{key: row[key] for key in ("gate", "rule", "outcome", "text")}) for row in result["gates"]],
        strips=source.existing(result["strips"]),
        facts={
            "data set": result["dataset"],
            "feature net": result["feature_net"]["name"],
            "feature net digest": result["feature_net"]["digest"],
            "images of each seed": result["images"],
            "seeds": value_text(result["seeds"]),
        },
        warnings=result["warnings"],
    )


def _named(reference: str | None, aliases: dict[str, str]) -> str:
    """A version with the alias that the submit named it by."""
    alias = aliases.get(reference or "")
    return f"{reference} ({alias})" if alias else reference or ""
