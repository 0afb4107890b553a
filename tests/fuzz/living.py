"""Targets with a home and a database: the dashboard, command lines, and rows that somebody else has written."""

import asyncio
import json
import logging
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.fuzz import draw as st
from tests.fuzz.harness import Act, Refused, Target, Wrong
from tests.fuzz.strategies import HOSTILE, scalars, texts, values

PATHS = (
    "/",
    "/jobs",
    "/jobs/{}",
    "/jobs/{}/curves.json",
    "/jobs/{}/samples/{}.png",
    "/devices",
    "/models",
    "/models/{}",
    "/outputs",
    "/outputs/{}",
    "/outputs/{}/contact-sheet.png",
    "/outputs/{}/images/{}",
    "/outputs/{}/animations/{}.webp",
    "/outputs/{}/{}",
    "/pipelines",
    "/pipelines/{}",
    "/schedules",
    "/reports/{}",
    "/healthz",
    "/static/{}",
    "/login",
    "/logout",
    "/jobs/{}/acts",
    "/queues/{}/acts",
    "/{}",
)
QUERIES = (
    "state",
    "kind",
    "queue",
    "user",
    "name",
    "label",
    "before",
    "after",
    "page",
    "class",
    "since",
    "until",
    "q",
    "order",
    "from",
    "to",
    "next",
    "x",
    "live",
    "limit",
    "model",
    "alias",
    "day",
)
_pieces = st.one_of(
    st.integers(0, 9).map(str), st.integers(0, 8).map(str), texts, st.sampled_from(["default", "digits-vae"])
)


def home_with_jobs(folder: Path) -> Path:
    """A home with a bit of everything."""
    from db.engine import open_database
    from db.schema import upgrade_schema
    from pixmill.settings import load_settings
    from tests.cli.world import World
    from tests.server.standing import fill_home

    home = folder / "home"
    home.mkdir()
    database = open_database(load_settings(flags={"home": home}))
    upgrade_schema(database)
    database.dispose()
    world = World(home)
    fill_home(world)
    world.database.dispose()
    os.environ["PIXMILL_HOME"] = str(home)
    os.chdir(folder)
    return home


@contextmanager
def dashboard(folder: Path) -> Iterator[Act]:
    """The dashboard with writes on, asked as a server would ask it."""
    from server.app import build_app
    from server.options import LOCAL_HOSTS, Options
    from server.reading import ReadingWorkspace
    from tests.server.standing import ODD, settings_file

    home = home_with_jobs(folder)
    workspace = ReadingWorkspace(settings_file(folder, home))
    app = build_app(workspace, Options(allowed_hosts=LOCAL_HOSTS, allow_writes=True))
    app.site.reader.answer_seconds = 60.0
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    loop = asyncio.new_event_loop()
    origin = "http://127.0.0.1:8765"

    def act(case: dict[str, Any]) -> None:
        fields = {**case["fields"], "csrf": app.site.access.csrf if case["is_ours"] else "x"}
        body = "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in fields.items()).encode()
        headers = [(b"host", b"127.0.0.1:8765"), (b"content-type", b"application/x-www-form-urlencoded")]
        headers += [(b"origin", origin.encode())] if case["is_ours"] else []
        status, sent, content = loop.run_until_complete(_asked(app, case, headers + case["headers"], body))
        if ODD.encode() in content or b"Traceback" in content or b"root:x:0:0" in content:
            raise Wrong(f"{status}: {content[:300]!r}")
        if status >= 500 and status not in (503, 504):
            raise Wrong(f"{status}: {content[:300]!r}")
        if dict(sent).get(b"x-content-type-options") != b"nosniff" or b"content-security-policy" not in dict(sent):
            raise Wrong(f"{status} without its headers: {sent!r}")
        if any(letter in value for _name, value in sent for letter in b"\r\n"):
            raise Wrong(f"a header is broken: {sent!r}")
        if status >= 400:
            raise Refused

    yield act
    app.site.close()
    loop.close()


def _quoted(text: str) -> str:
    return quote(text.encode(errors="surrogateescape" if "\udc80" in text else "replace"))


async def _asked(
    app: Any, case: dict[str, Any], headers: list[tuple[bytes, bytes]], body: bytes
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    raw = case["raw_path"]
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "scheme": "http",
        "method": case["method"], "path": case["path"], "raw_path": raw, "query_string": case["query"],
        "headers": headers, "client": ("127.0.0.1", 5), "server": ("127.0.0.1", 8765), "root_path": "", "state": {},
    }  # fmt: skip
    pieces = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return pieces.pop() if pieces else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    starts = [message for message in sent if message["type"] == "http.response.start"]
    if len(starts) != 1:
        raise Wrong(f"{len(starts)} answers")
    content = b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body")
    return starts[0]["status"], list(starts[0]["headers"]), content


def _request(method: str, path: str, query: list[tuple[str, str]], rest: dict[str, Any]) -> dict[str, Any]:
    plain = path.encode(errors="surrogateescape" if "\udc80" in path else "replace")
    joined = "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in query)
    return {
        "method": method, "path": plain.decode(errors="replace"), "raw_path": quote(plain).encode(),
        "query": joined.encode(), **rest,
    }  # fmt: skip


_header_values = texts.map(lambda text: text.encode(errors="replace").replace(b"\n", b"").replace(b"\r", b"")[:500])
_requests = st.builds(
    _request,
    st.sampled_from(["GET", "GET", "GET", "HEAD", "POST", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get", ""]),
    st.builds(
        lambda path, one, two: path.format(one, two) if path.count("{}") < 3 else path,
        st.sampled_from(PATHS),
        _pieces,
        _pieces,
    ),
    st.lists(st.tuples(st.sampled_from(QUERIES) | texts, texts | st.integers(0, 99).map(str)), most=3),
    st.fixed_dictionaries(
        {
            "headers": st.lists(
                st.tuples(
                    st.sampled_from(
                        [b"cookie", b"authorization", b"accept", b"hx-request", b"host", b"referer", b"range"]
                    ),
                    _header_values | st.just(b"session=x; csrf=y"),
                ),
                most=2,
            ),
            "fields": st.dictionaries(
                st.sampled_from(["act", "reason", "token", "next"]) | texts,
                st.sampled_from(["cancel", "hold", "release", "retry", "requeue", "pause", "resume"]) | texts,
                most=3,
            ),
            "is_ours": st.booleans(),
        }
    ),
)


def _lines(text: str) -> tuple[tuple[str, ...], ...]:
    """Command lines that are parted by bars or line ends."""
    return tuple(tuple(line.split()) for line in re.split("[|\n]", text) if line.strip())


COMMANDS = _lines("""
    ps | ps --all -o json | ps -l | ps --state | ps --queue | ps --since | ps --columns | job show
    job show -o json | job why | logs | cancel | job hold | job set 2 --priority | job retry | model show
    model versions | model promote | model promote digits-vae@1 --as | model history | model card
    model compare digits-vae@1 | output show | output query 2 --where | output query 2 --columns | output verify
    output rebuild | queue pause | queue set default --max-running | schedule add | schedule pause | pipeline show
    pipeline check | notify retry | worker drain --reason x | device drain | dataset add x | dataset show
    submit -f | submit --dry-run train --model | submit --dry-run train --model vae --dataset
    submit --dry-run generate --model | submit --dry-run ping --name | submit --dry-run ping -l
    submit --dry-run ping --after | submit --dry-run ping --begin
    submit --dry-run train --model vae --dataset digits --set | config show | schema | gc plan | --home | --config
    db status | events | top -o
""")


@contextmanager
def command_line(folder: Path) -> Iterator[Act]:
    """Commands with arguments that nobody would type."""
    home_with_jobs(folder)
    yield _run


def _run(arguments: tuple[str, ...]) -> None:
    from click.testing import CliRunner

    from cli.main import command

    result = CliRunner().invoke(command, list(arguments), prog_name="pixmill", catch_exceptions=False, input="")
    said = result.stderr
    if "unexpected" in said and "this is a defect" in said:
        raise Wrong(next(line for line in said.splitlines() if "unexpected" in line))
    if "Traceback (most recent call last)" in result.output:
        raise Wrong(result.output)
    if any(letter in said for letter in "\x1b\x07\u202e"):
        raise Wrong(f"it obeys: {said!r}")
    if result.exit_code:
        raise Refused


_arguments = st.builds(
    lambda head, tail: (*head, *(text.replace("\0", "") for text in tail)),
    st.sampled_from(COMMANDS),
    st.lists(
        st.one_of(texts, st.sampled_from(HOSTILE), st.integers(0, 12).map(str), scalars.map(str)),
        least=1,
        most=3,
    ),
)

LOOKING = _lines("""
    ps --all | ps --all -o json | status | job show {} | job why {} | logs {} | model versions digits-vae
    model show digits-vae@1 | model history digits-vae | output ls | output show 2 | output verify 2
    output query 2 | output rebuild 2 | gc plan | queue ls | worker ls | device ls | schedule ls | pipeline ls
    pipeline show 1 | notify ls | dataset ls | cancel {} --reason x | job hold {} | retry {} | top -o json
    status -o prometheus | doctor | model card digits-vae@1
""")


@contextmanager
def rows(folder: Path) -> Iterator[Act]:
    """One value of a row is another one; then somebody looks, or acts."""
    home = home_with_jobs(folder)
    file = home / "pixmill.db"
    cells = _cells(file)
    original = file.read_bytes()

    def act(case: tuple[int, Any, tuple[str, ...], int]) -> None:
        place, value, words, job = case
        table, column, key, is_number = cells[place % len(cells)]
        if is_number and not isinstance(value, int):
            value = place  # PostgreSQL takes nothing else
        connection = sqlite3.connect(file)
        try:
            connection.executescript("PRAGMA ignore_check_constraints=ON; PRAGMA foreign_keys=OFF")
            connection.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', (value, key))
            connection.commit()
        except (sqlite3.Error, OverflowError):
            raise Refused from None
        finally:
            connection.close()
        try:
            _run(tuple(word.format(job) for word in words))
        except Wrong as error:
            raise Wrong(f"{error} ({table}.{column} = {value!r:.80})") from None
        finally:
            for end in ("-wal", "-shm"):
                Path(f"{file}{end}").unlink(missing_ok=True)
            file.write_bytes(original)

    yield act


def _cells(file: Path) -> list[tuple[str, str, int, bool]]:
    """Table, column, number of the row, and whether numbers alone belong there."""
    with sqlite3.connect(file) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = []
        for table in names:
            if table.startswith(("sqlite_", "alembic")):
                continue
            described = list(connection.execute(f'PRAGMA table_info("{table}")'))
            columns = [(row[1], row[2].startswith(("INT", "BIGINT", "FLOAT", "BOOL"))) for row in described]
            keys = [row[0] for row in connection.execute(f'SELECT rowid FROM "{table}" ORDER BY rowid LIMIT 8')]
            found += [(table, name, key, number) for key in keys for name, number in columns if name != "id"]
    connection.close()
    return found


_cell_values = st.one_of(
    st.sampled_from(
        ["../../../outside/x", "/etc", "runs/../../../x", "", "{}", "[]", "{", "null", "x", "\x1b[2J", "[" * 3000]
    ),
    st.sampled_from([-1, 0, 1, 2**31, 2**62, -(2**63), 2**63 - 1]),
    st.sampled_from(["2026-11-22 02:00:00.000000", "9999-99-99 00:00:00.000000", "succeeded", "running", "exploded"]),
    values.map(lambda value: json.dumps(value).replace("NaN", "1").replace("\\ud", "\\u0d")),
)
_rows = st.tuples(st.integers(0, 10**6), _cell_values, st.sampled_from(LOOKING), st.integers(1, 7))


def targets() -> list[Target]:
    """All of them."""
    return [
        Target(name="dashboard", share=6_000, cases=_requests, prepare=dashboard, allowed=()),
        Target(name="commands", share=1_500, cases=_arguments, prepare=command_line, allowed=()),
        Target(name="rows", share=1_500, cases=_rows, prepare=rows, allowed=()),
    ]
