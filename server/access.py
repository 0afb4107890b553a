"""Who may look and who may act: a token or a session, and for every act a sign that one of our pages asked for it."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from server.errors import NotAllowed
from server.options import Options

COOKIE = "pixmill_session"
SESSION_SECONDS = 12 * 3600
CSRF_FIELD = "csrf"


class Access:
    """Judges headers and fields of requests; nothing is stored, so that a restart ends no session."""

    def __init__(self, options: Options) -> None:
        self._options = options
        token = options.token or secrets.token_urlsafe(32)
        self._token_digest = _digest(token)
        # A session is a date that was signed under the token: another token ends them all.
        self._session_key = hmac.digest(token.encode(), b"pixmill dashboard session", "sha256")
        self.csrf = secrets.token_urlsafe(32)  # of this process

    @property
    def is_needed(self) -> bool:
        """Whether anybody has to show who he is."""
        return self._options.token is not None

    def knows_token(self, text: str) -> bool:
        """Whether this is the token; takes as long whatever it is."""
        return self.is_needed and hmac.compare_digest(_digest(text), self._token_digest)

    def has_bearer(self, headers: Mapping[str, str]) -> bool:
        """Whether the request carries the token itself."""
        scheme, _, text = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self.knows_token(text.strip())

    def may_look(self, headers: Mapping[str, str]) -> bool:
        """Whether pages are shown."""
        return not self.is_needed or self.has_bearer(headers) or self._has_session(headers)

    def new_session(self) -> str:
        """The value of a cookie that lasts for half a day."""
        ends = str(int(time.time()) + SESSION_SECONDS)
        return f"{ends}.{self._signature(ends)}"

    def require_act(self, headers: Mapping[str, str], fields: Mapping[str, str]) -> None:
        """Let nobody act whose request no page of ours has sent.  Raises NotAllowed."""
        self.require_origin(headers)
        if not self.has_bearer(headers) and not hmac.compare_digest(
            _digest(fields.get(CSRF_FIELD, "")), _digest(self.csrf)
        ):
            raise NotAllowed("this form is older than the dashboard", hint="load the page again, and repeat it")

    def require_origin(self, headers: Mapping[str, str]) -> None:
        """Raise NotAllowed unless the request comes from a page of the very host that it is sent to."""
        origin = headers.get("origin", "")
        try:
            parts = urlsplit(origin)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in {"http", "https"} or parts.netloc.lower() != headers.get("host", "").lower():
            raise NotAllowed("the request came from another page", hint="acts need an Origin header of this dashboard")

    def _has_session(self, headers: Mapping[str, str]) -> bool:
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        ends, _, signature = (morsel.value if morsel else "").partition(".")
        signed = hmac.compare_digest(_digest(signature), _digest(self._signature(ends)))
        return signed and ends.isdecimal() and len(ends) < 16 and int(ends) > time.time()

    def _signature(self, ends: str) -> str:
        return hmac.new(self._session_key, ends.encode(), "sha256").hexdigest()


def _digest(text: str) -> bytes:
    """Of equal length whatever the text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
