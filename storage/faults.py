"""Turns the operating system's refusals into errors that say what to do."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pixmill.errors import DiskFull, PermissionDenied, PixmillError, StorageError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})  # no room, quota, file-size limit
REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


@contextmanager
def named_faults(path: Path, action: str = "write") -> Iterator[None]:
    """Re-raise an OSError of the block as the pixmill error that names `path` and the remedy.

    Raises DiskFull for a full disk, quota or size limit, PermissionDenied for a refusal, else StorageError.
    """
    try:
        yield
    except OSError as error:
        raise fault(error, path, action) from error


def fault(error: OSError, path: Path, action: str = "write") -> PixmillError:
    """Return the pixmill error that stands for `error` on `path`."""
    reason = error.strerror or str(error)
    if error.errno in FULL:
        return DiskFull(
            f"cannot {action} {path}: {reason} ({_free_text(path)})",
            hint="free space on that file system, raise the quota or file-size limit, or move the storage root",
        )
    if error.errno in REFUSED:
        return PermissionDenied(
            f"cannot {action} {path}: {reason}",
            hint="let the account that runs pixmill write there, or choose another storage root",
        )
    return StorageError(f"cannot {action} {path}: {reason}")


def _free_text(path: Path) -> str:
    nearest = next((folder for folder in path.absolute().parents if folder.is_dir()), Path("/"))
    return f"{shutil.disk_usage(nearest).free / 1e6:,.0f} MB free in {nearest}"
