"""How Redis is reached: time-outs, TLS, and what is said of a server that does not answer or does not let us in."""

import ssl
from collections.abc import Iterator

import redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from pixmill.errors import BrokerRefuses, BrokerUnreachable
from pixmill.settings import Settings
from scheduler.certificates import tls_options
from scheduler.names import redis_url, uses_tls

ACL_EXAMPLE = "deploy/redis/users.acl.example"
_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED
_OTHER_NAMES = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH


def connect(settings: Settings, *, read_seconds: float | None = None) -> "redis.Redis":
    """A Redis client with short time-outs; nothing is connected yet.  Raises ConfigError for files that do not fit."""
    timeout = settings.broker.timeout_seconds
    return redis.Redis.from_url(
        redis_url(settings.broker_url),
        socket_connect_timeout=timeout,
        socket_timeout=read_seconds or timeout,
        retry=None,
        **tls_options(settings),
    )


def require_welcome(settings: Settings) -> None:
    """Raise BrokerRefuses if the server answers but does not let us in; one that is away is waited for.

    Raises ConfigError as `tls_options` does.
    """
    client = connect(settings)
    try:
        client.ping()
    except (RedisError, OSError) as error:
        refuse_refusal(settings, error)
    finally:
        client.close()


def refuse_refusal(settings: Settings, error: BaseException) -> None:
    """Raise BrokerRefuses if that is what the error says."""
    found = unreachable(settings, error)
    if isinstance(found, BrokerRefuses):
        raise found from error


def unreachable(settings: Settings, error: BaseException) -> BrokerUnreachable:
    """The one message about a Redis that does not answer, or that refuses us."""
    for cause in _causes(error):
        refused = _refusal(cause)
        if refused is not None:
            return refused
    return BrokerUnreachable(f"Redis does not answer: {_reason(error)}", hint=_remedy(settings))


def _remedy(settings: Settings) -> str:
    if settings.broker_is_embedded:
        return "pixmill up"
    if uses_tls(settings.broker_url):
        return "does it run, does that port speak TLS, does it want a certificate of this host: broker.cert_file?"
    return "check that the server runs and that broker.url is right"


def _refusal(error: BaseException) -> BrokerRefuses | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _untrusted(error)
    if isinstance(error, ssl.SSLError):
        return BrokerRefuses(
            f"no TLS with Redis: {_reason(error)}",
            hint="does that port speak TLS, and does the server want a certificate of ours (broker.cert_file)?",
        )
    if isinstance(error, NoPermissionError):
        return BrokerRefuses(
            f"Redis lets this user do too little: {_reason(error)}", hint=f"compare its ACL with {ACL_EXAMPLE}"
        )
    if isinstance(error, AuthenticationError):
        return BrokerRefuses(
            f"Redis does not take the user and password of broker.url: {_reason(error)}",
            hint="write it like rediss://USER:PASSWORD@host:6379/0, as a file: PIXMILL_BROKER_URL_FILE",
        )
    return None


def _untrusted(error: ssl.SSLCertVerificationError) -> BrokerRefuses:
    hint = "broker.ca_file must hold the certificate of the authority that signed it"
    if error.verify_code == _EXPIRED:
        hint = "give the server a new certificate, or put this host's clock right"
    elif error.verify_code in _OTHER_NAMES:
        hint = "broker.url must name the server as its certificate does"
    return BrokerRefuses(f"the certificate of Redis is not trusted: {error.verify_message.rstrip('.')}", hint=hint)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it was raised for."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__


def _reason(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
