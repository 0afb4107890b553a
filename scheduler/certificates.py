"""TLS to Redis: what the settings ask for, checked before anything is connected."""

from pathlib import Path
from typing import Any

from pixmill.errors import ConfigError
from pixmill.sections import BrokerSettings
from pixmill.settings import Settings
from scheduler.names import redis_url, uses_tls

_FILES = ("ca_file", "cert_file", "key_file")  # of BrokerSettings


def tls_options(settings: Settings) -> dict[str, Any]:
    """What redis-py is told about TLS; nothing for a server without it.

    The server's certificate must be signed by an authority of `broker.ca_file` or of this host, and be for the name in
    the URL. Raises ConfigError for files that cannot be read, do not belong together, or would not be used.
    """
    broker = settings.broker
    redis_url(settings.broker_url)  # refuses a URL that would weaken what is asked for here
    if not uses_tls(settings.broker_url):
        for name in _FILES:
            if getattr(broker, name) is not None:
                raise ConfigError(
                    f"broker.{name} is set, but broker.url does not ask for TLS", hint="write it rediss://host:6379/0"
                )
        return {}
    _check_files(broker)
    import ssl

    return {
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": True,
        "ssl_min_version": ssl.TLSVersion.TLSv1_2,
        "ssl_ca_certs": _text(broker.ca_file),
        "ssl_certfile": _text(broker.cert_file),
        "ssl_keyfile": _text(broker.key_file),
    }


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _check_files(broker: BrokerSettings) -> None:
    """Read them as a connection will, whose errors name no file."""
    if broker.key_file is not None and broker.cert_file is None:
        raise ConfigError("broker.key_file is set, but broker.cert_file is not", hint="set both, or none")
    for name in _FILES:
        _check_readable(name, getattr(broker, name))
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(broker.ca_file) if broker.ca_file else None
    except ssl.SSLError as error:
        raise ConfigError(f"broker.ca_file {broker.ca_file} holds no certificate: {error}") from error
    if broker.cert_file is None:
        return
    try:
        context.load_cert_chain(broker.cert_file, broker.key_file, password=lambda: "")  # it would ask the terminal
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(
            f"broker.cert_file {broker.cert_file} and its key cannot be used: {error}",
            hint="both in PEM, the key without a password, broker.key_file if it is in a file of its own",
        ) from error


def _check_readable(name: str, path: Path | None) -> None:
    if path is None:
        return
    try:
        with path.open("rb"):
            return
    except OSError as error:
        raise ConfigError(f"broker.{name} {path} cannot be read: {error.strerror}") from error
