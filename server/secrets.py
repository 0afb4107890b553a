"""Nothing secret leaves the dashboard: whatever a page is made of, it is looked through before it is sent."""

import os
import re
from collections.abc import Iterable
from html import escape
from urllib.parse import quote, urlsplit

from pixmill.settings import Settings

MASK = "•••"
LEAST_CHARACTERS = 6  # a shorter text stands in other words by chance
_ENVIRONMENT = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "PGPASSWORD", "HF_TOKEN")
# What addresses carry: user:password@, and signatures and tokens behind the question mark.
_PASSWORD = re.compile(r"(?<=://)([^\s/:@\"'<>&]*):[^\s/@\"'<>]+@")
_SIGNATURE = re.compile(
    r"(?i)([?&;](?:amp;)?(?:x-amz-(?:signature|credential|security-token)|signature|sig|token|access_token|api_?key|"
    r"key|password|secret)=)[^&\s\"'<>;]+"
)


class Secrets:
    """Texts that never stand in an answer."""

    def __init__(self, texts: Iterable[str | None]) -> None:
        known = {text for text in texts if text and len(text) >= LEAST_CHARACTERS}
        spelled = {spelling for text in known for spelling in (text, escape(text), quote(text, safe=""), quote(text))}
        longest_first = sorted(spelled, key=lambda text: (-len(text), text))
        self._known = re.compile("|".join(map(re.escape, longest_first))) if spelled else None

    @classmethod
    def of(cls, settings: Settings, *more: str | None) -> "Secrets":
        """Those of the settings and of the environment, and some more."""
        hook = settings.notify.url.get_secret_value() if settings.notify.url else None
        urls = [settings.database.url, settings.broker.url]
        passwords = [_password(url.get_secret_value()) for url in urls if url]
        found = [*passwords, hook, *_parts_of_hook(hook), _signing_secret(settings), *more]
        return cls([*found, *(os.environ.get(name) for name in _ENVIRONMENT)])

    def masked(self, text: str) -> str:
        """The text without them.

        >>> Secrets(["hunter2222"]).masked("say hunter2222 to postgresql://olga:pw@db/x?token=abc")
        'say ••• to postgresql://olga:•••@db/x?token=•••'
        """
        if self._known is not None:
            text = self._known.sub(MASK, text)
        text = _PASSWORD.sub(rf"\1:{MASK}@", text) if "://" in text else text
        return _SIGNATURE.sub(rf"\1{MASK}", text) if "=" in text else text


def _password(url: str) -> str | None:
    try:
        return urlsplit(url).password
    except ValueError:
        return None


def _parts_of_hook(url: str | None) -> list[str]:
    """What stands behind the host of a webhook's address: chat programs put their secret there."""
    if url is None:
        return []
    parts = urlsplit(url)
    pieces = [*parts.path.split("/"), *(value.partition("=")[2] for value in parts.query.split("&"))]
    return [piece for piece in pieces if len(piece) >= 2 * LEAST_CHARACTERS]


def _signing_secret(settings: Settings) -> str | None:
    path = settings.notify.secret_file
    try:
        return path.read_text(encoding="utf-8").strip() if path else None
    except (OSError, UnicodeDecodeError):
        return None
