"""Who may look: by a token, by a session, and nobody else."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixmill.errors import ConfigError, PixmillError, UserError
from server.access import COOKIE
from server.options import Options, chosen_options, read_token
from tests.server.standing import Dashboard, asked, settings_file

TOKEN = "correct-horse-battery-staple"


@pytest.fixture(scope="session")
def guarded(standing_home: Path) -> Iterator[Dashboard]:
    with asked(settings_file(standing_home.parent, standing_home), token=TOKEN) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _nobody_is_logged_in(guarded: Dashboard) -> None:
    guarded.client.cookies.clear()


@pytest.mark.parametrize("path", ["/", "/jobs/1", "/outputs/2/images/0", "/reports/1", "/jobs/1/curves.json"])
def test_without_a_token_nothing_is_shown(guarded: Dashboard, path: str) -> None:
    answer = guarded.get(path, accept="*/*")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert "digits-vae" not in answer.text
    sent = guarded.get(path, accept="text/html")
    assert sent.status_code == 303
    assert sent.headers["location"].startswith("/login?next=%2F")


@pytest.mark.parametrize("path", ["/login", "/healthz", "/static/style.css"])
def test_what_holds_no_data_is_open(guarded: Dashboard, path: str) -> None:
    assert guarded.get(path).status_code == 200


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer  {TOKEN}", 200),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        (f"Basic {TOKEN}", 401),
        (TOKEN, 401),
        ("Bearer", 401),
        ("Bearer \xe9", 401),
    ],
)
def test_a_program_shows_the_token(guarded: Dashboard, header: str, status: int) -> None:
    answer = guarded.client.get("/jobs", headers=[(b"authorization", header.encode("latin-1"))])
    assert answer.status_code == status


def test_a_browser_logs_in_once_and_out_again(guarded: Dashboard) -> None:
    page = guarded.get("/login?next=/jobs%3Fstate%3Dfailed")
    assert '<input type="hidden" name="next" value="/jobs?state=failed">' in page.text
    sent = guarded.post("/login", {"token": TOKEN, "next": "/jobs?state=failed"})
    assert (sent.status_code, sent.headers["location"]) == (303, "/jobs?state=failed")
    cookie = sent.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert TOKEN not in cookie
    assert "Log out" in guarded.page("/jobs")
    gone = guarded.post("/logout", {})
    assert (gone.status_code, gone.headers["location"]) == (303, "/login")
    assert guarded.get("/jobs", accept="*/*").status_code == 401


def test_another_word_or_another_page_does_not_log_in(guarded: Dashboard) -> None:
    wrong = guarded.post("/login", {"token": "correct-horse-battery-stapler"})
    assert (wrong.status_code, "set-cookie" in wrong.headers) == (403, False)
    elsewhere = guarded.post("/login", {"token": TOKEN}, origin="http://evil.example")
    assert (elsewhere.status_code, "set-cookie" in elsewhere.headers) == (403, False)


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:1", "/a\nb"]
)
def test_nobody_is_sent_elsewhere(guarded: Dashboard, target: str) -> None:
    sent = guarded.post("/login", {"token": TOKEN, "next": target})
    assert sent.headers["location"] == "/"
    assert 'name="next" value="/"' in guarded.client.get("/login", params={"next": target}).text


def test_a_session_is_signed_and_ends(guarded: Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    session = guarded.app.site.access.new_session()
    ends, _, signature = session.partition(".")
    later = f"{int(ends) + 1}.{signature}"
    for value, status in ((session, 200), (later, 401), (f"{ends}.", 401), ("", 401), (f"{ends}.{'0' * 64}", 401)):
        assert guarded.get("/jobs", cookie=f"{COOKIE}={value}").status_code == status, value
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 13 * 3600)
    assert guarded.get("/jobs", cookie=f"{COOKIE}={session}").status_code == 401


def test_a_session_outlasts_a_restart_but_not_the_token(standing_home: Path, guarded: Dashboard) -> None:
    session = guarded.app.site.access.new_session()
    config = settings_file(standing_home.parent, standing_home)
    for token, status in ((TOKEN, 200), ("another-token-of-this-house", 401)):
        with asked(config, token=token) as other:
            assert other.get("/jobs", cookie=f"{COOKIE}={session}").status_code == status


def token_file(folder: Path, text: str = TOKEN, mode: int = 0o600) -> Path:
    file = folder / "token"
    file.write_text(text)
    file.chmod(mode)
    return file


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        (TOKEN, 0o604, "open to everybody"),
        (TOKEN, 0o666, "open to everybody"),
        ("short", 0o600, "no token of one long word"),
        ("", 0o600, "no token of one long word"),
        ("two words are no token", 0o600, "no token of one long word"),
        ("a-second-line\nis-no-token-either", 0o600, "no token of one long word"),
    ],
)
def test_a_file_that_is_no_secret_is_refused(tmp_path: Path, text: str, mode: int, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        read_token(token_file(tmp_path, text, mode))
    assert text == "" or text not in caught.value.message


def test_a_token_is_a_line(tmp_path: Path) -> None:
    assert read_token(token_file(tmp_path, f"{TOKEN}\n")) == TOKEN
    assert TOKEN not in repr(Options(token=TOKEN))
    with pytest.raises(ConfigError, match="cannot be read"):
        read_token(tmp_path / "nowhere")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "pixmill.internal"])
def test_the_network_is_let_in_with_a_token_alone(tmp_path: Path, host: str) -> None:
    def options(file: Path | None) -> Options:
        return chosen_options(host=host, port=1, token_file=file, allow_writes=False, allowed_hosts=())

    with pytest.raises(UserError, match="without asking who comes"):
        options(None)
    found = options(token_file(tmp_path))
    assert found.token == TOKEN
    assert (host in found.allowed_hosts) == (host in {"192.0.2.7", "pixmill.internal"})


@pytest.mark.parametrize("name", ["", "a b", "a/b", "user@host", "*", "x" * 300, "a\n"])
def test_only_a_host_name_is_one(name: str) -> None:
    with pytest.raises(PixmillError, match="is no host name"):
        chosen_options(host="127.0.0.1", port=1, token_file=None, allow_writes=False, allowed_hosts=[name])
