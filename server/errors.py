"""What goes wrong with a request, and the status that says so."""

from http import HTTPStatus

from pixmill.errors import ConfigError, Conflict, NotFound, PermissionDenied, PixmillError, Unavailable, UserError


class RequestError(PixmillError):
    """A request that is answered with an error page of its own status."""

    status = HTTPStatus.BAD_REQUEST


class NotAllowed(RequestError):
    """Whoever asks may not do that."""

    status = HTTPStatus.FORBIDDEN


class WrongMethod(RequestError):
    """The page knows no such method, or the dashboard is for reading alone."""

    status = HTTPStatus.METHOD_NOT_ALLOWED


class WhoAreYou(RequestError):
    """Nobody has logged in."""

    status = HTTPStatus.UNAUTHORIZED


class Overloaded(RequestError):
    """The dashboard cannot answer at present."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


class Busy(Overloaded):
    """Too many requests wait already."""

    def __init__(self) -> None:
        super().__init__("the dashboard has more to do than it can", hint="try again in some seconds")


class TooSlow(Overloaded):
    """The database or the disk did not answer in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"there was no answer within {seconds:g} seconds", hint="pixmill status")


_STATUSES: tuple[tuple[type[PixmillError], HTTPStatus], ...] = (
    (UserError, HTTPStatus.BAD_REQUEST),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Conflict, HTTPStatus.CONFLICT),
    (Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (ConfigError, HTTPStatus.SERVICE_UNAVAILABLE),
    (PermissionDenied, HTTPStatus.INTERNAL_SERVER_ERROR),
)


def status_of(error: Exception) -> HTTPStatus:
    """The status that tells of an error.

    >>> status_of(NotFound("there is no job 7")).value, status_of(ValueError()).value
    (404, 500)
    """
    if isinstance(error, RequestError):
        return error.status
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
