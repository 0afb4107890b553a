"""Aliases of models: those that promotions move, and what a job's tasks and data set keep of those that it named."""

from collections.abc import Mapping
from typing import Any

CHAMPION = "champion"  # the version that is in use
PREVIOUS = "previous"  # the champion before it, which a rollback brings back
CHALLENGER = "challenger"  # the version that may become champion
PROMOTED = (CHAMPION, CHALLENGER)  # what a promotion makes of a version

ALIASES_KEY = "aliases"  # of a task's parameters, and of the details in dataset.json


def aliases_of_task(params: Mapping[str, Any]) -> dict[str, str]:
    """`NAME@VERSION` → the alias by which the submit named that version.

    >>> aliases_of_task({"aliases": {"digits@3": "champion"}}), aliases_of_task({})
    ({'digits@3': 'champion'}, {})
    """
    return dict(params.get(ALIASES_KEY, {}))
