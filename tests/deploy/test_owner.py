"""The two roles that a deployment makes: the owner migrates, and everything else works on rows."""

import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from db.engine import open_database
from db.schema import require_current_schema, upgrade_schema
from pixmill.errors import DatabaseUnreachable, PermissionDenied
from pixmill.settings import Settings, load_settings
from tests import rows
from tests.deploy.composition import ROOT, ours
from tests.deploy.test_image import TcpPostgres, make_secrets, running_postgres


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[TcpPostgres, Path]]:
    """A server as its image sets it up, and the secrets; passwords are asked for."""
    with tempfile.TemporaryDirectory(prefix="pixmill-", dir="/var/tmp") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        secrets = make_secrets(folder, TcpPostgres.port, 1)
        with running_postgres(folder, secrets) as database:
            yield database, secrets


@pytest.fixture
def settings_of(server: tuple[TcpPostgres, Path], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Settings]:
    """The settings that a service of docker-compose.yml has."""

    def read(service: str) -> Settings:
        for variable in ("PIXMILL_DATABASE_APP_ROLE", "PIXMILL_DATABASE_URL_FILE"):
            monkeypatch.delenv(variable, raising=False)
        for variable, value in ours()[service]["environment"].items():
            monkeypatch.setenv(variable, str(value).replace("/run/secrets", str(server[1])))
        return load_settings()

    return read


@pytest.fixture
def migrated(settings_of: Callable[[str], Settings]) -> None:
    settings = settings_of("migrate")
    owner = open_database(settings)
    upgrade_schema(owner, app_role=settings.database.app_role)
    owner.dispose()


@pytest.mark.parametrize("service", sorted(set(ours()) - {"migrate"}))
def test_a_service_works_on_rows_and_on_nothing_else(
    service: str, settings_of: Callable[[str], Settings], migrated: None
) -> None:
    database = open_database(settings_of(service))
    require_current_schema(database)
    assert rows.add(database) > 0
    for statement in (
        "DROP TABLE jobs",
        "ALTER TABLE jobs ADD COLUMN more text",
        "TRUNCATE jobs",
        "CREATE TABLE a (b int)",
    ):
        with pytest.raises(PermissionDenied), database.write() as session:
            session.execute(text(statement))
    database.dispose()


def test_nobody_comes_without_the_right_password(settings_of: Callable[[str], Settings], migrated: None) -> None:
    url = settings_of("scheduler").database_url
    for wrong in (url.replace("pixmill:", "pixmill:x"), url.replace("pixmill:", "pixmill_owner:")):
        database = open_database(load_settings(flags={"database.url": wrong}))
        with pytest.raises(DatabaseUnreachable, match="password"):
            database.consult(lambda session: session.execute(text("SELECT 1")))
        database.dispose()


def test_a_database_that_was_made_without_an_owner_is_handed_over(server: tuple[TcpPostgres, Path]) -> None:
    """By the statements of docs/deployment.md; `earlier` is what pixmill was."""
    machine, _secrets = server
    machine.psql("--command", "CREATE ROLE earlier LOGIN", "--command", "CREATE DATABASE earlier OWNER earlier")
    place = f"host={machine.folder}&port={machine.port}"
    earlier, owner = (
        open_database(
            load_settings(flags={"home": machine.folder, "database.url": f"postgresql://{role}@/earlier?{place}"})
        )
        for role in ("earlier", "pixmill_owner")
    )
    upgrade_schema(earlier)
    rows.add(earlier)
    handed = [
        text.replace(" pixmill ", " earlier ").removesuffix(";") for text in _handing_over() if "ROLE" not in text
    ]
    machine.psql("--dbname", "earlier", *(word for text in handed for word in ("--command", text)))
    upgrade_schema(owner, app_role="earlier")
    assert rows.add(earlier) == 2
    with pytest.raises(PermissionDenied), earlier.write() as session:
        session.execute(text("DROP TABLE jobs"))
    for database in (earlier, owner):
        database.dispose()


def _handing_over() -> list[str]:
    """The statements that the document shows."""
    document = (ROOT / "docs/deployment.md").read_text(encoding="utf-8")
    return re.findall(r"^ +((?:CREATE ROLE|REASSIGN|GRANT) .*;)$", document, flags=re.MULTILINE)
