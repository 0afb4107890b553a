"""One version copied to a folder, every file checked against its hash."""

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from imagemodels.card import CARD_FILE, WEIGHTS_FILE, ModelCard, read_card
from imagemodels.errors import CorruptCheckpoint
from imagemodels.identity import identity
from pixmill.errors import CorruptFile, UserError
from storage.atomic import FileDigest, json_bytes, sha256_file, write_atomic
from storage.faults import named_faults

if TYPE_CHECKING:
    from db.tables.models import ModelVersion

README_FILE = "README.md"
FACTS_FILE = "card.json"
SUMS_FILE = "SHA256SUMS"


def export_version(
    version: "ModelVersion", source: Path, target: Path, markdown: str, facts: Mapping[str, Any]
) -> dict[str, FileDigest]:
    """Copy the model in `source` to `target`, with its card for people and for machines; gives name → digest.

    Each copy is read again from the disk; `SHA256SUMS` comes last. Raises UserError when `target` holds anything,
    CorruptFile when the model is not the one that was recorded, and DiskFull, PermissionDenied or StorageError.
    """
    with named_faults(target, "read"):
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise UserError(f"{target} is not an empty folder", hint="name one that is not there yet")
    known = _recorded(version, source)
    written = {}
    for path in sorted(source.iterdir()):
        written[path.name] = _copied(path, target / path.name, known.get(path.name))
    missing = sorted(known.keys() - written.keys())
    if missing:
        raise CorruptFile(f"{source / missing[0]} is missing", hint="restore it from a copy, or train again")
    written[README_FILE] = write_atomic(target / README_FILE, markdown.encode())
    written[FACTS_FILE] = write_atomic(target / FACTS_FILE, json_bytes(facts))
    lines = [f"{digest.sha256}  {name}\n" for name, digest in sorted(written.items())]
    write_atomic(target / SUMS_FILE, "".join(lines).encode())
    return written


def _recorded(version: "ModelVersion", folder: Path) -> dict[str, str]:
    """File → SHA-256, as the card has them, once the card is that of the row."""
    try:
        card = read_card(folder)
    except CorruptCheckpoint as error:
        raise CorruptFile(str(error), hint="restore it from a copy, or train again") from error
    recorded = version.lineage.get("weights_sha256", card.weights_sha256)
    found = identity(card.architecture, dict(card.spec), card.weights_sha256)
    if not found == card.digest == version.digest or recorded != card.weights_sha256:
        raise CorruptFile(f"{folder / CARD_FILE} describes another model than the one recorded: {version.digest}")
    return {WEIGHTS_FILE: card.weights_sha256, **_further(card)}


def _further(card: ModelCard) -> dict[str, str]:
    """Files beside the weights that the card knows, such as the hashes of what a classifier has seen."""
    settings = [value for value in card.metadata.settings.values() if isinstance(value, Mapping)]
    return {str(value["file"]): str(value["sha256"]) for value in settings if {"file", "sha256"} <= value.keys()}


def _copied(path: Path, target: Path, expected: str | None) -> FileDigest:
    digest = write_atomic(target, partial(_fill, path))
    if expected is not None and digest.sha256 != expected:
        target.unlink()
        raise CorruptFile(f"{path} has changed since it was recorded", hint="restore it from a copy, or train again")
    if sha256_file(target) != digest.sha256:
        raise CorruptFile(f"{target} does not read as it was written", hint="check that disk")
    return digest


def _fill(path: Path, stream: BinaryIO) -> None:
    with named_faults(path, "read"), path.open("rb") as file:
        shutil.copyfileobj(file, stream, 1 << 20)
