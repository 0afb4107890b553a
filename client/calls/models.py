"""Calls that look at models, and move their aliases."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from client.calls.base import Caller

if TYPE_CHECKING:
    from client.models import Measurement, Model
    from db.aliases import Move


class ModelCalls(Caller):
    """Versions of models, named NAME, NAME@VERSION, NAME@ALIAS or job:ID of a train job.

    All calls raise NotFound, and DatabaseUnreachable.
    """

    def model(self, name: str) -> "Model":
        """One version.  Raises Conflict while it is being trained."""
        from client.models import Model, read_model

        details = self._workspace.database.consult(lambda session: read_model(session, name))
        return Model.of(details.version, details.aliases)

    def models(self, name: str | None = None) -> "list[Model]":
        """The versions of one model or of all, the newest of each first."""
        from client.models import Model, read_versions

        versions = self._workspace.database.consult(lambda session: read_versions(session, name))
        return [Model.of(*pair) for pair in versions.found]

    def measurements(self, name: str) -> "list[Measurement]":
        """What was measured of a version, the newest first."""
        from client.models import Measurement, read_model

        details = self._workspace.database.consult(lambda session: read_model(session, name))
        return [Measurement.of(*pair) for pair in details.measured]

    def compare(self, first: str, second: str) -> dict[str, Any]:
        """The newest measurements of two versions side by side, as `model compare -o json` prints them.

        Raises UserError for models that have nothing in common, CorruptFile, and NotFound for one never measured.
        """
        from client.comparing import compare_models, comparison_json

        layout = self._workspace.layout
        return self._workspace.database.consult(
            lambda session: comparison_json(compare_models(session, layout, first, second))
        )

    def promote(
        self,
        name: str,
        *,
        reason: str,
        alias: Literal["champion", "challenger"] = "champion",
        expect: int | None = None,
        evidence: Mapping[str, Any] | None = None,
    ) -> "list[Move]":
        """Let an alias stand for the version NAME@VERSION; gives what has moved, which may be nothing.

        The champion before becomes `previous`. With `expect` only while the alias stands for that version, 0 for none.
        Raises UserError for a name without a version, Conflict for a frozen model or an alias that has moved.
        """
        from db.aliases import Deed, promote

        deed = Deed(actor=self._user, reason=reason, evidence=evidence)
        return self._workspace.database.transact(lambda session: promote(session, name, alias, deed, expect=expect))[1]

    def rollback(self, name: str, *, reason: str | None = None, expect: int | None = None) -> "list[Move]":
        """Let champion and previous of a model change places.  Raises Conflict without a previous champion."""
        from db.aliases import Deed, roll_back

        deed = Deed(actor=self._user, reason=reason)
        return self._workspace.database.transact(lambda session: roll_back(session, name, deed, expect=expect))
