"""Database and broker: whether they answer, how quickly, and whether they are set up as pixmill needs them."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.doctor.findings import Finding, ok, problem, warning
from client.wording import percent, plural, size
from pixmill.errors import SchemaMismatch

if TYPE_CHECKING:
    from db.diagnosis import PostgresFacts, SqliteFacts
    from db.engine import Database
    from pixmill.settings import Settings

LOOKS = 3  # at the clock, of which the quickest counts
SLOW_SECONDS = 0.1  # a claim takes some five statements
SLACK_SECONDS = 2.0
SPARSE_BYTES = 100_000_000
FULL_SHARES = (0.8, 0.95)  # of the broker's memory: warning, problem
CROWDED_SHARE = 0.9  # of the connections that PostgreSQL allows


@dataclass(frozen=True, kw_only=True)
class DatabaseAnswer:
    """What the database said of itself."""

    label: str
    is_sqlite: bool
    latency_seconds: float
    offset_seconds: float  # its clock less ours
    facts: "SqliteFacts | PostgresFacts"
    revision: str | None
    mismatch: SchemaMismatch | None


def missing_file(settings: "Settings") -> Path | None:
    """The embedded database's file, if it is not there; to open it would make it."""
    from sqlalchemy import make_url

    url = make_url(settings.database_url)
    if url.get_backend_name() != "sqlite" or not url.database:
        return None
    path = Path(url.database)
    return None if path.exists() else path


def ask_database(database: "Database") -> DatabaseAnswer:
    """Connect, look at clock, version and schema.  Raises DatabaseUnreachable."""
    from db.diagnosis import server_facts
    from db.schema import require_current_schema, schema_state

    state = schema_state(database)
    try:
        require_current_schema(database)
        mismatch = None
    except SchemaMismatch as error:
        mismatch = error
    latency, offset = _look_at_clock(database)
    with database.read() as session:
        facts = server_facts(session)
    return DatabaseAnswer(
        label=database.label,
        is_sqlite=database.is_sqlite,
        latency_seconds=latency,
        offset_seconds=offset,
        facts=facts,
        revision=state.current,
        mismatch=mismatch,
    )


def _look_at_clock(database: "Database") -> tuple[float, float]:
    """The quickest round trip, and how far the database's clock is ahead of this host's, halfway through it."""
    from db.workers import database_time

    looks = []
    with database.read() as session:
        for _ in range(LOOKS):
            started, at = time.perf_counter(), datetime.now(UTC)
            theirs = database_time(session)
            seconds = time.perf_counter() - started
            looks.append((seconds, (theirs - at).total_seconds() - seconds / 2))
    return min(looks)


def examine_database(answer: DatabaseAnswer) -> Iterator[Finding]:
    """Version, size, speed and revision."""
    from db.diagnosis import SqliteFacts

    milliseconds = f"answers in {answer.latency_seconds * 1000:.1f} ms"
    if isinstance(answer.facts, SqliteFacts):
        yield ok("database", f"{_sqlite_text(answer.facts)}, {milliseconds}, {answer.label}")
        yield from _examine_sqlite(answer.facts, answer.label)
    else:
        yield ok("database", f"{_postgres_text(answer.facts)}, {milliseconds}, {answer.label}")
        yield from _examine_postgres(answer.facts)
    if answer.latency_seconds > SLOW_SECONDS:
        detail = f"{milliseconds}: claims and heartbeats wait for it (up to {SLOW_SECONDS * 1000:g} ms is well)"
        yield warning("database", detail, "look for load on its disk and on the network between")
    if answer.mismatch is not None:
        yield problem("schema", answer.mismatch.message, answer.mismatch.hint)
    else:
        yield ok("schema", f"revision {answer.revision}, the one that this pixmill works with")


def _sqlite_text(facts: "SqliteFacts") -> str:
    free = f" ({size(facts.free_bytes)} of it free)" if facts.free_bytes else ""
    return f"SQLite {facts.version}, {facts.journal_mode.upper()}, {size(facts.size_bytes)}{free}"


def _postgres_text(facts: "PostgresFacts") -> str:
    version = facts.version.split()[0]
    connections = f"{facts.connections} of {plural(facts.max_connections, 'connection')} in use"
    return f"PostgreSQL {version}, {size(facts.size_bytes)}, {connections}"


def _examine_sqlite(facts: "SqliteFacts", file: str) -> Iterator[Finding]:
    if facts.journal_mode != "wal":
        detail = f"journal mode is {facts.journal_mode}: the file system of {file} does not allow WAL"
        yield problem("database", detail, "move the home to a local disk, or use PostgreSQL: database.url")
    if facts.free_bytes > max(SPARSE_BYTES, facts.size_bytes // 2):
        detail = f"{size(facts.free_bytes)} of {size(facts.size_bytes)} hold nothing"
        yield warning("database", detail, f"while nothing runs: sqlite3 {file} VACUUM")


def _examine_postgres(facts: "PostgresFacts") -> Iterator[Finding]:
    if facts.connections >= CROWDED_SHARE * facts.max_connections:
        detail = f"{facts.connections} of {facts.max_connections} connections are in use: workers may be refused"
        yield warning("database", detail, "raise max_connections of the server")


def examine_integrity(database: "Database") -> Finding:
    """Read the embedded database as a whole.  Raises DatabaseUnreachable."""
    from db.diagnosis import quick_check

    if not database.is_sqlite:
        return ok("integrity", "PostgreSQL looks after its own files; pg_amcheck examines them")
    with database.read() as session:
        found = quick_check(session)
    if not found:
        return ok("integrity", "PRAGMA quick_check finds no damage")
    detail = f"{plural(len(found), 'line')} from PRAGMA quick_check, the first: {found[0]}"
    return problem("integrity", detail, f"stop everything, then: sqlite3 {database.label} .recover")


def examine_clock(answer: DatabaseAnswer) -> Finding:
    """How far the clocks are apart; nothing is decided by them."""
    if answer.is_sqlite:
        return ok("clock", "the embedded database uses this host's clock")
    uncertainty = answer.latency_seconds / 2
    where = "ahead of" if answer.offset_seconds > 0 else "behind"
    apart = f"the database's clock is {abs(answer.offset_seconds):.3f} s ± {uncertainty:.3f} s {where} this host's"
    if abs(answer.offset_seconds) <= SLACK_SECONDS + uncertainty:
        return ok("clock", f"{apart}; only what is shown depends on it")
    detail = f"{apart}; ages may look wrong, nothing else depends on it"
    return warning("clock", detail, "timedatectl set-ntp true, on the host that is wrong")


@dataclass(frozen=True, kw_only=True)
class BrokerAnswer:
    """What the broker said of itself."""

    server: str
    version: str
    latency_seconds: float
    policy: str
    used_bytes: int
    limit_bytes: int  # 0: none


def ask_broker(settings: "Settings") -> BrokerAnswer:
    """Connect and ask.  Raises BrokerUnreachable."""
    from redis.exceptions import RedisError

    from scheduler.connecting import connect, unreachable

    client = connect(settings)
    try:
        client.ping()
        started = time.perf_counter()
        client.ping()
        latency = time.perf_counter() - started
        return _broker_answer(dict(client.info("server")) | dict(client.info("memory")), latency)
    except (RedisError, OSError) as error:
        raise unreachable(settings, error) from error
    finally:
        client.close()


def _broker_answer(facts: dict[str, Any], latency_seconds: float) -> BrokerAnswer:
    return BrokerAnswer(
        server=str(facts.get("server_name", "redis")),
        version=str(facts.get("valkey_version") or facts.get("redis_version", "?")),
        latency_seconds=latency_seconds,
        policy=str(facts.get("maxmemory_policy", "?")),
        used_bytes=int(facts.get("used_memory", 0)),
        limit_bytes=int(facts.get("maxmemory", 0)),
    )


def examine_broker(answer: BrokerAnswer) -> Iterator[Finding]:
    """Version, speed, memory and what it does when that is full."""
    memory = f"{size(answer.used_bytes)} used, no limit"
    share = 0.0
    if answer.limit_bytes:
        share = answer.used_bytes / answer.limit_bytes
        used = percent(answer.used_bytes, answer.limit_bytes)
        memory = f"{size(answer.used_bytes)} of {size(answer.limit_bytes)} used ({used})"
    yield ok(
        "broker",
        f"{answer.server} {answer.version}, {answer.policy}, {memory}, answers in "
        f"{answer.latency_seconds * 1000:.1f} ms; whether it keeps anything on disk does not matter",
    )
    if answer.policy not in {"noeviction", "?"}:
        detail = f"maxmemory-policy is {answer.policy}: wake-ups may be thrown away, and jobs start late"
        yield problem("broker", detail, "redis-cli CONFIG SET maxmemory-policy noeviction, and in its configuration")
    if share >= FULL_SHARES[0]:
        judge = problem if share >= FULL_SHARES[1] else warning
        yield judge("broker", f"{memory}: when it is full it takes no wake-ups", "redis-cli CONFIG SET maxmemory 256mb")
