"""Names for the Tab key, by the bare driver: to load what other statements need takes longer than a person waits.

Nothing is made, migrated or checked here. A database of another schema answers with an error, as one that is away does.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

MOST = 100  # names of a sort
PATIENCE_SECONDS = 0.2  # for a lock of SQLite

# Each gives names and a remark on each; `?` is the beginning of the name, where there may be too many of them.
STATEMENTS = {
    "job": "SELECT CAST(id AS TEXT), name || ', ' || CAST(state AS TEXT) FROM jobs "
    "WHERE CAST(id AS TEXT) LIKE ? ORDER BY id DESC",
    "array": "SELECT CAST(id AS TEXT), name FROM arrays WHERE CAST(id AS TEXT) LIKE ? ORDER BY id DESC",
    "array reference": "SELECT 'array:' || CAST(id AS TEXT), name FROM arrays "
    "WHERE 'array:' || CAST(id AS TEXT) LIKE ? ORDER BY id DESC",
    "pipeline run": "SELECT CAST(id AS TEXT), name || ', ' || CAST(state AS TEXT) FROM pipeline_runs "
    "WHERE CAST(id AS TEXT) LIKE ? ORDER BY id DESC",
    "notification": "SELECT CAST(id AS TEXT), kind || ', ' || subject FROM notifications "
    "WHERE CAST(id AS TEXT) LIKE ? ORDER BY id DESC",
    "queue": "SELECT name, '' FROM queues WHERE name LIKE ? ORDER BY name",
    "device": "SELECT host || ':' || name, model FROM devices WHERE host || ':' || name LIKE ? ORDER BY host, name",
    "schedule": "SELECT name, cron FROM schedules WHERE name LIKE ? ORDER BY name",
    "dataset": "SELECT name, source FROM registered_datasets WHERE name LIKE ? ORDER BY name",
    "model": "SELECT name, '' FROM models WHERE name LIKE ? ORDER BY name",
    "alias": "SELECT DISTINCT name, '' FROM model_aliases WHERE name LIKE ? ORDER BY name",
    "aliased": "SELECT m.name || '@' || a.name, 'version ' || CAST(a.version AS TEXT) FROM model_aliases a "
    "JOIN models m ON m.id = a.model_id WHERE m.name || '@' || a.name LIKE ? ORDER BY m.name, a.name",
    "version": "SELECT m.name || '@' || CAST(v.version AS TEXT), v.preset FROM model_versions v "
    "JOIN models m ON m.id = v.model_id WHERE v.removed_at IS NULL "
    "AND m.name || '@' || CAST(v.version AS TEXT) LIKE ? ORDER BY m.name, v.version DESC",
    "pipeline": "SELECT name, '' FROM pipeline_runs WHERE name LIKE ? GROUP BY name ORDER BY name",
}


def live_names(url: str, sorts: Sequence[str], beginning: str) -> list[tuple[str, str]]:
    """Names of these sorts that begin so, each with a remark.

    Raises whatever the driver raises, and OSError for a database that was not made yet.
    """
    pattern = "".join(f"!{letter}" if letter in "!%_" else letter for letter in beginning) + "%"
    ask = _ask_sqlite if url.startswith("sqlite") else _ask_postgresql
    texts = [f"{STATEMENTS[sort]} LIMIT {MOST}".replace("LIKE ?", "LIKE ? ESCAPE '!'") for sort in sorts]
    return [(str(name), str(remark or "")) for name, remark in ask(url, texts, pattern)]


def _ask_sqlite(url: str, texts: Sequence[str], pattern: str) -> list[Any]:
    path = Path(url.partition(":///")[2])
    path.stat()  # a missing file is missing, and is not made
    opened = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=PATIENCE_SECONDS)
    with closing(opened) as connection:
        return [row for text in texts for row in connection.execute(text, (pattern,))]


def _ask_postgresql(url: str, texts: Sequence[str], pattern: str) -> list[Any]:
    import psycopg

    plain = url.replace("postgresql+psycopg:", "postgresql:", 1)
    with psycopg.connect(plain, connect_timeout=2, autocommit=True) as connection:
        found: list[Any] = []
        for text in texts:
            found += connection.execute(text.replace("?", "%s").encode(), (pattern,)).fetchall()
        return found
