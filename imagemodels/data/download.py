"""Fetch one published file, or leave nothing behind."""

import hashlib
import http.client
import os
import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from imagemodels.data.errors import DownloadFailed

TIMEOUT_SECONDS = 30.0  # without a byte, not for the whole file
CHUNK_BYTES = 1 << 20
MAX_DOWNLOAD_BYTES = 256_000_000


def download_verified(urls: Sequence[str], target: Path, sha256: str) -> Path:
    """Fetch the first copy whose sha256 is the published one, and move it to target in one step.

    The mirrors are tried in order. A file appears under its final name only when it is whole and verified.
    Raises DownloadFailed when no mirror delivers: the message tells each mirror's reason and where to put the file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    reasons = []
    for url in urls:
        reason = _try_mirror(url, target, sha256)
        if reason is None:
            return target
        reasons.append(f"  {url}: {reason}")
    raise DownloadFailed(
        f"{target.name} could not be downloaded:\n" + "\n".join(reasons) + f"\n"
        f"Get the file by other means and put it at {target}."
    )


def _try_mirror(url: str, target: Path, sha256: str) -> str | None:
    """Return why the mirror failed, or None when the verified file is in place."""
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            found = _fetch(url, file)
        if found != sha256:
            return f"wrong checksum: sha256 {found}, published is {sha256}"
        partial.chmod(0o644)  # mkstemp's 0600 would hide a shared cache from its other users
        partial.replace(target)
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    else:
        return None
    finally:
        partial.unlink(missing_ok=True)


def _fetch(url: str, file: IO[bytes]) -> str:
    """Copy the answer into the file, flushed to disk, and return its sha256."""
    digest = hashlib.sha256()
    received = 0
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310  # mirrors are constants
        while chunk := answer.read(CHUNK_BYTES):
            received += len(chunk)
            if received > MAX_DOWNLOAD_BYTES:
                raise OSError(f"more than {MAX_DOWNLOAD_BYTES:,} bytes")
            digest.update(chunk)
            file.write(chunk)
        promised = answer.headers.get("Content-Length")
    if promised is not None and received != int(promised):
        raise OSError(f"truncated: {received:,} of {promised} bytes")
    file.flush()
    os.fsync(file.fileno())
    return digest.hexdigest()
