"""Every error that pixmill raises on purpose.

    PixmillError                    1
    ├── UserError                   2    the request itself is wrong
    │   ├── SpecError                    a job spec has an unknown key or a bad value
    │   └── DatasetError                 a data set is missing, empty or holds unreadable images
    │       ├── DatasetChanged           a registered data set is no longer what was registered
    │       └── DataRefused              too little of a data set is as it was
    ├── NotFound                    3    no such job, model, output …
    ├── Conflict                    4    the request is fine, the present state forbids it
    │   ├── InvalidMove                  a job cannot go from this state to that one
    │   ├── KeyConflict                  the idempotency key belongs to another spec
    │   ├── LeaseLost                    a task went to another worker
    │   └── AlreadyRunning               a second `up` on the same home
    ├── StorageError                1    files
    │   ├── DiskFull
    │   ├── CorruptFile                  the bytes on disk are not the bytes that were written
    │   ├── CorruptRow                   a row holds what no pixmill has written
    │   └── PathEscape                   a path leaves the configured root
    ├── Unavailable                 69
    │   ├── DatabaseUnreachable
    │   ├── BrokerUnreachable
    │   │   └── BrokerRefuses            a certificate, a password or an ACL that does not fit
    │   └── StoreUnreachable             the S3 server, or what it needs
    ├── PermissionDenied            77   a folder that cannot be written
    ├── ConfigError                 78   a settings file or variable
    │   └── SchemaMismatch               the database is empty, behind, or newer than this pixmill
    └── JobOutcome                       `wait` reports how a job ended through the exit code
        ├── JobFailed               100
        ├── JobNotFinished          101
        └── JobCancelled            103

The number is the process's exit code. A message says what was asked and what was found; `hint` says what to do.
"""

from typing import ClassVar


class PixmillError(Exception):
    """Base of all errors that are meant for a person to read."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UserError(PixmillError):
    """The request is wrong: a flag, a value, a file that was named."""

    exit_code = 2


class SpecError(UserError):
    """A job spec has an unknown key or a value out of range."""


class DatasetError(UserError):
    """A data set is missing, empty, or holds images that cannot be read."""


class DatasetChanged(DatasetError):
    """A registered data set holds other images, classes or roles than when it was registered."""


class DataRefused(DatasetError):
    """A data set is so much smaller, or so different, than that of the model before that something must be wrong."""


class NotFound(PixmillError):
    """The named job, model, output, worker or device does not exist."""

    exit_code = 3


class Conflict(PixmillError):
    """The present state forbids the request."""

    exit_code = 4


class InvalidMove(Conflict):
    """A job cannot go from its state to the wanted one."""


class KeyConflict(Conflict):
    """The idempotency key was used before, for another spec."""


class LeaseLost(Conflict):
    """The task is no longer this worker's: it must publish nothing."""


class AlreadyRunning(Conflict):
    """Another process already serves this home."""


class StorageError(PixmillError):
    """A file could not be written or read."""


class DiskFull(StorageError):
    """The file system has no room left, or a quota or file-size limit is reached."""


class CorruptFile(StorageError):
    """The bytes on disk differ from the bytes that were written."""


class CorruptRow(StorageError):
    """A row of the database holds what no pixmill has written there."""


class PathEscape(StorageError):
    """A path leads outside the configured root."""


class Unavailable(PixmillError):
    """A server that pixmill needs does not answer."""

    exit_code = 69


class DatabaseUnreachable(Unavailable):
    """The database does not answer."""


class BrokerUnreachable(Unavailable):
    """The Redis server does not answer."""


class BrokerRefuses(BrokerUnreachable):
    """The Redis server answers, but it is not trusted, or does not let us in."""


class StoreUnreachable(Unavailable):
    """The S3 server does not answer, or not as it should."""


class PermissionDenied(PixmillError):
    """A folder or file may not be written."""

    exit_code = 77


class ConfigError(PixmillError):
    """A settings file, variable or flag does not fit."""

    exit_code = 78


class SchemaMismatch(ConfigError):
    """The database's schema is not the one that this version works with."""


class JobOutcome(PixmillError):
    """A waited-for job did not succeed."""


class JobFailed(JobOutcome):
    """The job failed."""

    exit_code = 100


class JobNotFinished(JobOutcome):
    """The job was still going when the time limit of the wait ran out."""

    exit_code = 101


class JobCancelled(JobOutcome):
    """The job was cancelled."""

    exit_code = 103
