"""What tells a SavedModel from every other one: the SHA-256 of each of its files, and of all of them together."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from batchscore.savedmodel.model_files import list_model_files
from batchscore.system.regular_files import open_regular

PLAN_FILES = "assets.extra/batchscore.plan"
"""Prefix of the files that a plan consists of; they do not count for the fingerprint."""


@dataclass(frozen=True)
class FileDigest:
    """Size in bytes and SHA-256 (hex) of a file."""

    bytes: int
    sha256: str


def digest_files(model: Path) -> dict[str, FileDigest]:
    """Every file of the SavedModel directory `model` but its plan, by its path relative to it, sorted.

    Costs one read of all of them. Raises OSError if one cannot be read.
    """
    files = {path.relative_to(model).as_posix(): path for path in list_model_files(model)}
    return {
        name: _digest(files[name])
        for name in sorted(files, key=os.fsencode)
        if not name.startswith(PLAN_FILES)
    }  # fmt: skip


def fingerprint_of(files: Mapping[str, FileDigest]) -> str:
    """SHA-256 (hex) over the sorted (relative path, size, SHA-256) of the files of a SavedModel."""
    total = hashlib.sha256()
    for name in sorted(files, key=os.fsencode):
        total.update(os.fsencode(name) + f"\0{files[name].bytes}\0{files[name].sha256}\n".encode())
    return total.hexdigest()


def fingerprint(model: Path) -> str:
    """The fingerprint of the SavedModel directory `model`. Raises OSError if a file cannot be read."""
    return fingerprint_of(digest_files(model))


def _digest(path: Path) -> FileDigest:
    with open_regular(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileDigest(file.tell(), digest)
