"""The card of one version: what it is, what it was made from, and how good it is, for people without this database."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cli.metrics import metric_table
from cli.modeldetails import measurement_title
from client.comparing import stored_metrics
from client.modelfacts import event_json, lineage_facts, model_facts, product
from client.models import ModelDetails, measurements_json, read_model, version_json
from client.wording import count, utc

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.tables.models import ModelEvent


@dataclass(frozen=True)
class Card:
    """A version with its measurements, and the events that concern it, the newest first."""

    details: ModelDetails
    events: Sequence["ModelEvent"]


def read_card_of(session: "Session", name: str) -> Card:
    """Read what the card says.  Raises NotFound, UserError or Conflict."""
    from db.aliases import model_events

    details = read_model(session, name)
    version = details.version
    events = [row for row in model_events(session, version.model_id) if _concerns(row, version.version)]
    return Card(details, events)


def _concerns(event: "ModelEvent", version: int) -> bool:
    return version in (event.from_version, event.to_version)


def card_json(card: Card) -> dict[str, Any]:
    """The card for machines."""
    details = card.details
    return {
        **version_json(details.version, details.aliases),
        "measurements": measurements_json(details),
        "history": [event_json(event) for event in card.events],
    }


def card_markdown(card: Card) -> str:
    """The card for people."""
    details = card.details
    version = details.version
    facts, lineage = model_facts(version), lineage_facts(version)
    own = {name: value for name, value in facts.items() if name not in lineage}
    if details.aliases:
        own["aliases"] = ", ".join(details.aliases)
    lines = [
        f"# {version.reference}",
        "",
        f"A {product(version)}, trained {utc(version.created_at)} by pixmill.",
        "",
        *_table(("", ""), own.items()),
        "## What it was made from",
        "",
        *_table(("", ""), lineage.items()),
        "## What was measured",
        "",
        *_measured(details),
    ]
    if card.events:
        lines += ["## History", "", *_table(("at", "who", "what", "from", "to", "why"), map(_event_row, card.events))]
    return "\n".join(lines).rstrip() + "\n"


def _measured(details: ModelDetails) -> Iterable[str]:
    if not details.measured:
        yield from ("It was not measured but by its own training.", "")
    for evaluation, job in details.measured:
        yield from (_plain(measurement_title(evaluation, job)), "")
        columns, rows = metric_table(stored_metrics(evaluation.metrics))
        yield from _table([column.title.lower() for column in columns], rows)


def _event_row(event: "ModelEvent") -> tuple[object, ...]:
    what = f"{event.action} {event.alias or ''}".strip()
    before, after = event.from_version or "–", event.to_version or "–"
    return utc(event.at), event.actor, what, before, after, event.reason or ""


def _table(titles: Sequence[str], rows: Iterable[Iterable[object]]) -> Iterable[str]:
    yield f"| {' | '.join(titles)} |"
    yield f"|{'---|' * len(titles)}"
    for row in rows:
        yield f"| {' | '.join(_plain(cell) for cell in row)} |"
    yield ""


def _plain(value: object) -> str:
    """Text that Markdown takes for nothing else: a reason, or a class, may hold anything."""
    text = count(value) if isinstance(value, int) and not isinstance(value, bool) else _words(value)
    for sign in "\\`*_{}[]<>|#":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())


def _words(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={inner}" for key, inner in value.items())
    return f"{value:.6g}" if isinstance(value, float) else str(value)
