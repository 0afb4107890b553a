"""Files that get their place in the very transaction that ends a task: after its fence, and before its commit.

Whoever comes here holds the task's lease, and the lock of its row: nobody else can hold it before this is over. So a
worker that was taken for dead replaces no file of those after it. One that dies before the commit leaves a file in its
place which the next attempt replaces.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from db.leases import Lease
from db.pipelines import view_run
from db.tables.jobs import Role
from storage.paths import Layout
from storage.runpages import publish_page
from worker.parent.publishing import Publish


def filer(role: Role, layout: Layout) -> Publish | None:
    """What puts the file of a succeeded task into its place, and gives the result to store; None: it has none."""
    return partial(_file_page, layout) if role is Role.REPORT else None


def _file_page(layout: Layout, session: Session, lease: Lease, result: Mapping[str, Any]) -> dict[str, Any]:
    run = view_run(session, lease.spec["run"]).run
    return {**result, "page": publish_page(layout, result["page"], run.name, run.id)}
