"""The names that scheduler and workers share over Redis."""

from urllib.parse import parse_qs, urlsplit

from pixmill.errors import ConfigError

RUN_TASK = "pixmill.run"  # Celery task: its arguments are a task id and a dispatch_seq, never code or data
HEAR_CANARY = "pixmill.canary"  # Celery task: its argument is the canary's number
POKE_LIST = "pixmill:poke"  # Redis list: an element means "look at the database now"


def celery_queue(kind: str, width: int = 1) -> str:
    """The Celery queue that all workers with so many devices of this kind listen to.

    >>> celery_queue("cuda")
    'pixmill.cuda'
    >>> celery_queue("cuda", 4)
    'pixmill.cuda.4'
    """
    return f"pixmill.{kind}" if width == 1 else f"pixmill.{kind}.{width}"


def canary_queue(worker_id: int) -> str:
    """The Celery queue that one worker alone listens to.

    >>> canary_queue(7)
    'pixmill.worker.7'
    """
    return f"pixmill.worker.{worker_id}"


def redis_url(celery_url: str) -> str:
    """The same server in redis-py's spelling, which differs for Unix sockets.

    >>> redis_url("redis+socket:///run/redis.sock?virtual_host=0")
    'unix:///run/redis.sock?db=0'
    >>> redis_url("redis://localhost:6379/1")
    'redis://localhost:6379/1'

    Raises ConfigError for a URL that cannot be one of a Redis server.
    """
    if celery_url.startswith("redis+socket://"):
        path, _, query = celery_url.removeprefix("redis+socket://").partition("?")
        database = query.removeprefix("virtual_host=") if query.startswith("virtual_host=") else "0"
        return f"unix://{path}?db={database}"
    if celery_url.startswith(("redis://", "rediss://")):
        _check_address(celery_url)
        return celery_url
    scheme = celery_url.partition(":")[0]
    raise ConfigError(
        f"broker.url has scheme {scheme!r}", hint="use redis://host:6379/0, rediss://… or redis+socket:///path"
    )


def uses_tls(celery_url: str) -> bool:
    """Whether connections to this server are encrypted."""
    return celery_url.startswith("rediss://")


def _check_address(url: str) -> None:
    # The URL may hold a password: it is not repeated.
    parts = urlsplit(url)
    database = parts.path.strip("/")
    try:
        has_address = parts.port != 0 and (not database or database.isdecimal())
    except ValueError:  # urlsplit reads the port only when asked for it
        has_address = False
    if not has_address:
        raise ConfigError("broker.url has a wrong port or database number", hint="write it like redis://host:6379/0")
    for name in parse_qs(parts.query, keep_blank_values=True):
        if name.startswith("ssl_"):
            raise ConfigError(
                f"broker.url sets {name}; certificates are always verified, against names as well",
                hint="leave it out, and name the authority's certificate: broker.ca_file",
            )
