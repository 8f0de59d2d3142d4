"""The files of a SavedModel, copied as they are."""

from __future__ import annotations

import shutil
from pathlib import Path

from batchscore.errors import ModelError, OutputError
from batchscore.runtime.fingerprint import PLAN_FILES, fingerprint
from batchscore.runtime.saved_model import SavedModel


def copy_model(saved: SavedModel, target: Path) -> None:
    """Copy every file of `saved` but a plan into the empty directory `target`, symbolic links as what they show.

    The kernel copies where it can; no file is held in memory. Raises OutputError (E-OUTPUT) where it cannot be
    written, ModelError (E-MODEL-INCOMPLETE) where the source changed meanwhile.
    """
    try:
        for source in sorted(path for path in saved.path.rglob("*") if path.is_file()):
            name = source.relative_to(saved.path)
            if not name.as_posix().startswith(PLAN_FILES):
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target / name)
    except OSError as error:
        raise OutputError(
            "E-OUTPUT",
            f"the model cannot be copied: {error.strerror or error}",
            where=error.filename2 or error.filename or target,
            next_step="check the permissions of both places and the free space of --output",
        ) from error
    if fingerprint(target) != saved.fingerprint:
        raise ModelError(
            "E-MODEL-INCOMPLETE",
            "the SavedModel changed while it was copied",
            where=saved.path,
            next_step="let whoever writes it finish, then adopt it again",
        )
