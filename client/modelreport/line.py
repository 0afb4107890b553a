"""The rows and files of one line of models, as the sections of its report are made from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from pages.files import Files
from pixmill.aliases import CHAMPION

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.glances import Measured
    from db.modellines import Use, Verdict
    from db.tables.models import Model, ModelEvent, ModelVersion
    from pixmill.settings import Settings


@dataclass(frozen=True)
class ModelLine:
    """What the database holds of it in one look, and where its files are; versions and events the newest first."""

    session: "Session"
    model: "Model"
    at: datetime
    versions: "Sequence[ModelVersion]"  # removed ones, too
    aliases: Mapping[int, Sequence[str]]  # of each version that has any
    events: "Sequence[ModelEvent]"
    measured: "Sequence[Measured]"  # the oldest first
    verdicts: "Sequence[Verdict]"  # the oldest first
    uses: "Sequence[Use]"
    files: Files

    @property
    def champion(self) -> int | None:
        """Its version, if there is one."""
        return next((number for number, aliases in self.aliases.items() if CHAMPION in aliases), None)

    @cached_property
    def reigns(self) -> Mapping[int, datetime]:
        """The versions that were champion at any time, with the last time that each became it."""
        found: dict[int, datetime] = {}
        for event in self.events:
            if event.alias == CHAMPION and event.to_version is not None:
                found.setdefault(event.to_version, event.at)
        return found


def read_line(session: "Session", settings: "Settings", name: str) -> ModelLine:
    """Read it.  Raises NotFound."""
    from client.models import read_versions
    from db.aliases import model_events
    from db.glances import measured_of
    from db.modellines import uses_of, verdicts_on
    from db.registry import get_model
    from storage.paths import Layout

    model = get_model(session, name)
    found = read_versions(session, name, removed=True)
    versions = [version for version, _aliases in found.found]
    return ModelLine(
        session=session,
        model=model,
        at=found.at,
        versions=versions,
        aliases={version.version: aliases for version, aliases in found.found if aliases},
        events=model_events(session, model.id),
        measured=measured_of(session, model.id),
        verdicts=verdicts_on(session, name, versions),
        uses=uses_of(session, versions),
        files=Files(Layout(settings.storage_root)),
    )
