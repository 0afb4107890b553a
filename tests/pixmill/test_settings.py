import json
import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import pytest

from pixmill.errors import ConfigError
from pixmill.sections import Section
from pixmill.settings import SOCKET_PATH_BYTES, Settings, load_settings, setting_origins

SECRET = "hunter2-hunter2"
KEY = "broker.url"


def url(tag: str) -> str:
    return f"redis://:{SECRET}@{tag}:6379/0"


class Sources:
    """Sets `broker.url` in any of the places that a setting can come from."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tmp_path = tmp_path
        self.monkeypatch = monkeypatch
        self.flags: dict[str, str] = {}
        self.project = tmp_path / "work" / "pixmill.toml"
        self.project.parent.mkdir()
        monkeypatch.chdir(self.project.parent)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
        self.user = tmp_path / "config" / "pixmill" / "config.toml"
        self.user.parent.mkdir(parents=True)

    def set(self, source: str) -> None:
        match source:
            case "flag":
                self.flags[KEY] = url(source)
            case "environment":
                self.monkeypatch.setenv("PIXMILL_BROKER_URL", url(source))
            case "secret":
                file = self.tmp_path / "secret"
                file.write_text(url(source) + "\n")
                self.monkeypatch.setenv("PIXMILL_BROKER_URL_FILE", str(file))
            case "project":
                self.project.write_text(f'[broker]\nurl = "{url(source)}"\n')
            case "user":
                self.user.write_text(f'[broker]\nurl = "{url(source)}"\n')

    def load(self) -> Settings:
        return load_settings(flags=self.flags)


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sources:
    return Sources(tmp_path, monkeypatch)


ORDER = ("flag", "environment", "secret", "project", "user")
PAIRS = [(strong, weak) for place, strong in enumerate(ORDER) for weak in ORDER[place + 1 :]]


@pytest.mark.parametrize(("strong", "weak"), PAIRS)
def test_of_two_sources_the_stronger_one_wins(sources: Sources, strong: str, weak: str) -> None:
    sources.set(weak)
    assert sources.load().broker_url == url(weak)
    sources.set(strong)
    assert sources.load().broker_url == url(strong)


def test_every_source_is_named_as_the_origin(sources: Sources) -> None:
    labels = {"flag": "flag", "environment": "environment", "secret": "secret file"}
    labels |= {"project": str(sources.project), "user": str(sources.user)}
    for source in reversed(ORDER):
        sources.set(source)
        origins = {origin.key: origin for origin in setting_origins(sources.load(), flags=sources.flags)}
        assert origins[KEY].source == labels[source]
        assert origins["scheduler.tick_seconds"].source == "default"


def test_origins_list_every_setting_once_with_its_value() -> None:
    origins = setting_origins(
        load_settings(flags={"scheduler.tick_seconds": 0.25}), flags={"scheduler.tick_seconds": 0.25}
    )
    keys = [origin.key for origin in origins]
    assert len(keys) == len(set(keys))
    assert {"home", "database.url", "broker.url", "worker.threads"} <= set(keys)
    assert next(origin.value for origin in origins if origin.key == "scheduler.tick_seconds") == "0.25"


def test_an_explicit_file_replaces_the_projects_but_not_the_users(sources: Sources) -> None:
    sources.project.write_text("[scheduler]\ntick_seconds = 2\nlease_seconds = 3\n")
    sources.user.write_text("[scheduler]\nredispatch_seconds = 7\n")
    chosen = sources.tmp_path / "chosen.toml"
    chosen.write_text("[scheduler]\ntick_seconds = 5\n")
    scheduler = load_settings(config=chosen).scheduler
    assert (scheduler.tick_seconds, scheduler.lease_seconds, scheduler.redispatch_seconds) == (5, 30, 7)


def test_a_project_file_of_a_parent_folder_is_found(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    sources.set("project")
    inner = sources.project.parent / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert sources.load().broker_url == url("project")


def test_pixmill_config_names_the_file_and_a_missing_one_is_refused(
    sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIXMILL_CONFIG", str(sources.tmp_path / "none.toml"))
    with pytest.raises(ConfigError, match=r"none\.toml does not exist"):
        load_settings()


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[broker]\nulr = 'x'\n", "unknown setting 'broker.ulr'", "did you mean 'broker.url'?"),
        ("hoem = 'x'\n", "unknown setting 'hoem'", "did you mean 'home'?"),
        ("[scheduler]\nmax_lost_leases = 0\n", "'scheduler.max_lost_leases'.*found 0", None),
        ("[broker]\ntimeout_seconds = inf\n", "'broker.timeout_seconds'.*finite", None),
    ],
)
def test_a_wrong_file_is_refused_by_key(tmp_path: Path, text: str, message: str, hint: str | None) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_settings(config=file)
    assert caught.value.hint == hint


@pytest.mark.parametrize("content", [b"url = ", b"\xff\xfe\x00"])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "broken.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"broken\.toml"):
        load_settings(config=file)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("PIXMILL_BROKER_ULR", "did you mean 'PIXMILL_BROKER_URL'?"),
        ("PIXMILL_DATABASE_URL_FIEL", "did you mean 'PIXMILL_DATABASE_URL_FILE'?"),
        ("PIXMILL_DEBUG_FILE", "did you mean 'PIXMILL_DEBUG'?"),
    ],
)
def test_an_unknown_variable_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, hint: str) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(ConfigError, match=name) as caught:
        load_settings()
    assert caught.value.hint == hint


@pytest.mark.parametrize("name", ["PIXMILL_BROKER_URL", "PIXMILL_BROKER_URL_FILE", "PIXMILL_HOME"])
def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    before = load_settings().model_dump()
    monkeypatch.setenv(name, "")
    assert load_settings().model_dump() == before
    assert load_settings().broker_is_embedded


def test_a_secret_file_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXMILL_DATABASE_URL_FILE", "/nowhere/secret")
    with pytest.raises(ConfigError, match="PIXMILL_DATABASE_URL_FILE names /nowhere/secret"):
        load_settings()


def test_secrets_are_shown_nowhere(sources: Sources) -> None:
    for source in ORDER:
        sources.set(source)
    settings = sources.load()
    shown = [repr(settings), str(settings), settings.model_dump_json(), repr(settings.model_dump())]
    shown += [repr(setting_origins(settings, flags=sources.flags))]
    assert SECRET not in "".join(shown)
    assert SECRET in settings.broker_url


@pytest.mark.parametrize(
    "text",
    [
        f'broker = "{url("h")}"\n',
        f'[broker]\nurl = ["{url("h")}"]\n',
        f'[broker]\nurl = "{url("h")}\n',
        f'[broker]\nurl = {{ a = "{url("h")}" }}\n',
    ],
)
def test_a_secret_in_the_wrong_place_is_not_repeated_in_the_message(tmp_path: Path, text: str) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_settings(config=file)
    assert SECRET not in f"{caught.value}{caught.value.hint}"


def test_relative_paths_in_a_file_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "there" / "pixmill.toml"
    file.parent.mkdir()
    file.write_text('home = "house"\n[storage]\nroot = "files"\n')
    monkeypatch.chdir("/")
    settings = load_settings(config=file)
    assert settings.home == tmp_path / "there" / "house"
    assert settings.storage_root == tmp_path / "there" / "files"


def test_relative_paths_in_variables_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIXMILL_HOME", "house")
    monkeypatch.setenv("PIXMILL_STORAGE_ROOT", "~/files")
    settings = load_settings()
    assert settings.home == tmp_path / "house"
    assert settings.storage_root == Path("~/files").expanduser()


def test_all_paths_of_a_section_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("CA", "CERT", "KEY"):
        monkeypatch.setenv(f"PIXMILL_BROKER_{name}_FILE", f"{name}.pem")
    broker = load_settings().broker
    assert (broker.ca_file, broker.cert_file) == (tmp_path / "CA.pem", tmp_path / "CERT.pem")
    assert broker.key_file == tmp_path / "KEY.pem"


def test_files_are_kept_in_the_home_unless_told_otherwise(tmp_path: Path) -> None:
    settings = load_settings(flags={"home": tmp_path})
    assert settings.storage_root == tmp_path
    assert {settings.run_folder.parent, settings.log_folder.parent} == {tmp_path}
    assert unquote(settings.database_url) == f"sqlite:///{tmp_path}/pixmill.db"


def test_the_socket_lies_in_the_home_while_its_path_is_short_enough() -> None:
    longest = Path("/h") / ("x" * (SOCKET_PATH_BYTES - len("/h/" + "/run/redis.sock")))
    assert load_settings(flags={"home": longest}).broker_socket == longest / "run" / "redis.sock"
    too_long = longest.with_name(longest.name + "x")
    socket = load_settings(flags={"home": too_long}).broker_socket
    assert len(os.fsencode(socket)) <= SOCKET_PATH_BYTES
    assert too_long not in socket.parents


def test_two_long_homes_have_two_sockets() -> None:
    homes = [Path("/h") / ("x" * 200) / name for name in "ab"]
    assert len({load_settings(flags={"home": home}).broker_socket for home in homes}) == 2


@pytest.mark.parametrize("convert", [int, float])
def test_numbers_are_read_from_variables(monkeypatch: pytest.MonkeyPatch, convert: Callable[[str], float]) -> None:
    monkeypatch.setenv("PIXMILL_WORKER_THREADS", "3")
    monkeypatch.setenv("PIXMILL_BROKER_TIMEOUT_SECONDS", str(convert("2")))
    settings = load_settings()
    assert (settings.worker.threads, settings.broker.timeout_seconds) == (3, 2.0)


def test_every_setting_can_be_set_by_a_file_that_shows_the_defaults(tmp_path: Path) -> None:
    lines = [f'home = "{tmp_path}"']
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, Section):
            values = field.default.model_dump(exclude_none=True)
            lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    file = tmp_path / "all.toml"
    file.write_text("\n".join(lines))
    assert tomllib.loads(file.read_text())["scheduler"]["lease_seconds"] == 30
    assert load_settings(config=file).model_dump() == load_settings(flags={"home": tmp_path}).model_dump()


def test_settings_cannot_be_changed_afterwards() -> None:
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        setattr(settings, "home", Path("/"))  # noqa: B010  mypy refuses the plain way, as it should


@pytest.mark.parametrize("url", ["s3:/pictures", "s3://P", "s3://pictures/../other", "https://pictures/x", "/srv/made"])
def test_finished_data_sets_go_to_a_bucket_or_stay(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXMILL_STORAGE_OUTPUTS", url)
    with pytest.raises(ConfigError, match=r"'storage\.outputs': write it like s3://BUCKET/PREFIX"):
        load_settings()


def test_credentials_in_the_address_of_an_s3_server_are_not_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PIXMILL_STORAGE_ENDPOINT", f"https://me:{SECRET}@s3.internal")
    with pytest.raises(ConfigError, match="credentials come from AWS_") as error:
        load_settings()
    assert SECRET not in error.value.message


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://hooks.example.org/a-secret", "http is allowed to this machine alone"),
        ("ftp://hooks.example.org/a-secret", "write it like https://HOST/PATH"),
        ("https://olga:a-secret@hooks.example.org/", "a user and a password in it are not sent"),
        ("https://hooks.example.org/a-secret\r\nHost: x", "write it like https://HOST/PATH"),
        ("https://hooks.example.org:99999/a-secret", "Port out of range"),
        ("https://10.0.0.7/a-secret", "it is a private address; set notify.allow_private"),
        ("http://localhost:8080/a-secret", "it is this machine; set notify.allow_private"),
        ("https://[::ffff:192.168.1.1]/a-secret", "it is a private address; set notify.allow_private"),
        ("https://169.254.169.254/a-secret", "it is an address of a cloud's metadata (found"),
    ],
)
def test_a_webhook_that_must_not_be_is_refused_and_not_shown(url: str, words: str) -> None:
    with pytest.raises(ConfigError, match=r"'notify\.url'") as caught:
        load_settings(flags={"notify.url": url})
    assert words in caught.value.message
    assert "a-secret" not in caught.value.message


PLAIN = {"notify.url": "http://10.0.0.7/x", "notify.allow_http": True, "notify.allow_private": True}


def test_a_webhook_on_this_machine_or_by_permission_may_be_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("https://10.0.0.7/x", "http://localhost:8080/x", "http://[::1]/x", "http://127.8.8.8/"):
        found = load_settings(flags={"notify.url": url, "notify.allow_private": True})
        assert found.notify.url is not None
        assert url not in str(setting_origins(found))
    assert load_settings(flags=PLAIN).notify.allow_http
    monkeypatch.setenv("PIXMILL_NOTIFY_EVENTS", '["job.failed"]')
    assert load_settings().notify.events == ("job.failed",)
    with pytest.raises(ConfigError, match=r"there is no event 'job.fialed'; did you mean 'job.failed'"):
        load_settings(flags={"notify.events": ["job.fialed"]})
    monkeypatch.setenv("PIXMILL_NOTIFY_EVENTS", "job.failed")
    with pytest.raises(ConfigError, match=r"PIXMILL_NOTIFY_EVENTS is 'job.failed', which is no list") as refused:
        load_settings()
    assert refused.value.hint == 'write it like ["a", "b"]'


def test_a_file_that_holds_a_secret_is_named_and_not_read(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    sources.project.write_text('[notify]\nsecret_file = "key"\n')
    assert sources.load().notify.secret_file == sources.project.parent / "key"
    monkeypatch.setenv("PIXMILL_NOTIFY_SECRET_FILE", "/run/secrets/key")
    assert sources.load().notify.secret_file == Path("/run/secrets/key")
    address = sources.tmp_path / "url"
    address.write_text("https://hooks.example.org/a-secret\n")
    monkeypatch.setenv("PIXMILL_NOTIFY_URL_FILE", str(address))
    found = sources.load().notify.url
    assert found is not None
    assert found.get_secret_value() == "https://hooks.example.org/a-secret"
