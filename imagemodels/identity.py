"""By which hashes models and their files are known. Free of torch."""

import hashlib
import json


def sha256_hex(content: bytes) -> str:
    """Return the sha256 of ``content`` in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def identity(architecture: str, spec: dict[str, object], weights_sha256: str) -> str:
    """Return the sha256 in hexadecimal by which a checkpoint is known: architecture, its spec, its weights."""
    return sha256_hex(json.dumps([architecture, spec, weights_sha256], sort_keys=True).encode())
