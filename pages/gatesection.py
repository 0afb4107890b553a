"""From the result of a gate job to the section of a page that shows it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from reports.gates import GateLine, GateSection

Find = Callable[[str | None], Path | None]  # the file of a root-relative path, where it is on this host

_SHEETS = {"challenger_sheet": "model", "champion_sheet": "against"}  # picture → whose it is


def gate_section(result: Mapping[str, Any], find: Find) -> GateSection | None:
    """The section; None until the job has ended."""
    if not result:
        return None
    names = {key: _named(result[key], result["aliases"]) for key in ("model", "against")}
    sheets = {names[side]: path for key, side in _SHEETS.items() if (path := find(result.get(key))) is not None}
    return GateSection(
        verdict=result["verdict"],
        model=names["model"],
        against=names["against"],
        lines=[GateLine(**{key: row[key] for key in ("gate", "rule", "outcome", "text")}) for row in result["gates"]],
        strips=find(result.get("strips")),
        sheets=sheets,
        columns=result.get("sheet_columns") or (),
        facts={
            "data set": result["dataset"],
            "feature net": result["feature_net"]["name"],
            "feature net digest": result["feature_net"]["digest"],
            "images of each seed": result["images"],
            "seeds": ", ".join(map(str, result["seeds"])),
        },
        warnings=result["warnings"],
    )


def _named(reference: str | None, aliases: Mapping[str, str]) -> str:
    """A version with the alias that the submit named it by."""
    alias = aliases.get(reference or "")
    return f"{reference} ({alias})" if alias else reference or ""
