"""Aliases that a job's models were named by: what its tasks, and the data set that they make, keep of them."""

from collections.abc import Mapping
from typing import Any

TASK_KEY = "aliases"  # of a task's parameters, and of the details in dataset.json


def aliases_of_task(params: Mapping[str, Any]) -> dict[str, str]:
    """`NAME@VERSION` → the alias by which the submit named that version.

    >>> aliases_of_task({"aliases": {"digits@3": "champion"}}), aliases_of_task({})
    ({'digits@3': 'champion'}, {})
    """
    return dict(params.get(TASK_KEY, {}))
