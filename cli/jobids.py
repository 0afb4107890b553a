"""Jobs by id, or as elements of an array; and what a job waits for."""

import re
from typing import Any

import click

from cli.completing import LiveId
from cli.context import Workspace
from pixmill.arrays import parse_array_reference, parse_element


class JobId(LiveId):
    """A job: its id, or `12_3` (also `12[3]`) for the element 3 of array 12."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The job's id; that of an element is looked for in the database.  Raises NotFound."""
        if isinstance(value, int):
            return value
        element = parse_element(value)
        if element is not None and ctx is not None:
            return _job_of(ctx, *element)
        if not re.fullmatch(r"[0-9]{1,100}", value) or int(value) < 1:
            self.fail(f"{value!r} is no job; write an id such as 12, or 12_3 for an element of array 12", param, ctx)
        return super().convert(value, param, ctx)


class Parent(JobId):
    """A job that is waited for, or `array:12` for all of an array."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The job's id, or the name of the array as it is."""
        if isinstance(value, str) and parse_array_reference(value) is not None:
            return value
        return super().convert(value, param, ctx)


def _job_of(ctx: click.Context, array_id: int, index: int) -> int:
    from db.arrays import element_id

    workspace = ctx.find_object(Workspace)
    assert workspace is not None, "the root command makes it"
    with workspace.database.read() as session:
        return element_id(session, array_id, index)
