"""The lines of the worker's tests: one that stands for the whole session, on each database, and one of a test's own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sklearn.datasets import load_digits
from sqlalchemy import URL

from pixmill.specs import GenerateSpec, TrainSpec
from tests.databases import as_application, cloned_postgresql, copied_sqlite
from tests.servers import Valkey
from tests.worker.line import Line

TINY: dict[str, Any] = {"width": 8, "latent_size": 8, "feature_size": 16}
SMALL_CLASSIFIER: dict[str, Any] = {"width": 4, "feature_size": 8}


@pytest.fixture(scope="session")
def standing_sqlite(
    sqlite_template: Path, line_broker: Valkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Line]:
    """One line for many tests, on SQLite."""
    url = copied_sqlite(sqlite_template, tmp_path_factory.mktemp("line"))
    line = Line(tmp_path_factory.mktemp("home"), url, line_broker.own_part())
    yield line
    line.stop()


@pytest.fixture(scope="session")
def standing_postgresql(
    postgres_server_url: URL, line_broker: Valkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Line]:
    """One line for many tests, on PostgreSQL."""
    url = as_application(cloned_postgresql(postgres_server_url).render_as_string(hide_password=False))
    line = Line(tmp_path_factory.mktemp("home"), url, line_broker.own_part())
    yield line
    line.stop()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
def line(request: pytest.FixtureRequest) -> Line:
    """A standing line on each kind of database, all of its processes up."""
    found: Line = request.getfixturevalue(f"standing_{request.param}")
    found.start()
    return found


@pytest.fixture
def sqlite_line(standing_sqlite: Line) -> Line:
    """The standing line on SQLite, for what has little to do with the database."""
    standing_sqlite.start()
    return standing_sqlite


def digits_model(line: Line) -> str:
    """A small conditional generator, trained once on each line; `NAME@VERSION`."""
    line.run(small_train(), name="digits", key="digits")
    return "digits@1"


def small_train(**changes: Any) -> TrainSpec:
    """A VAE that is trained in about a second."""
    values: dict[str, Any] = {
        "model": "vae",
        "dataset": "digits",
        "image_size": 16,
        "conditional": True,
        "images": 2_000,
        "options": TINY,
    }
    return TrainSpec(**{**values, **changes})


def long_train(**changes: Any) -> TrainSpec:
    """A classifier that trains for some seconds, and needs no feature net."""
    values: dict[str, Any] = {
        "model": "cnn",
        "dataset": "digits",
        "image_size": 16,
        "images": 30_000,
        "options": SMALL_CLASSIFIER,
    }
    return TrainSpec(**{**values, **changes})


def small_generate(model: str, **changes: Any) -> GenerateSpec:
    """Three shards, the last one not full."""
    values: dict[str, Any] = {"model": model, "n": 250, "shard_size": 100}
    return GenerateSpec(**{**values, **changes})


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Twenty real pictures in two classes."""
    for number, pixels in enumerate(load_digits().images[:20]):
        path = tmp_path / "pictures" / ("even" if number % 2 == 0 else "odd") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 15).astype("uint8")).resize((16, 16)).save(path)
    return tmp_path / "pictures"


@pytest.fixture
def own_line(
    sqlite_template: Path, line_broker: Valkey, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Line]]:
    """Makes a line of this test's own, on SQLite unless a URL is given, with settings of its own."""
    lines: list[Line] = []

    def make(database_url: str | None = None, broker_url: str | None = None, **knobs: Any) -> Line:
        url = database_url or copied_sqlite(sqlite_template, tmp_path_factory.mktemp("own"))
        line = Line(tmp_path / f"home-{len(lines)}", url, broker_url or line_broker.own_part(), **knobs)
        lines.append(line)
        line.start()
        return line

    yield make
    for line in lines:
        line.stop()
