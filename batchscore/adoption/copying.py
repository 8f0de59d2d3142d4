"""The files of a SavedModel, copied as they are."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from batchscore.errors import ModelError, OutputError, reason_of
from batchscore.savedmodel.fingerprint import PLAN_FILES, fingerprint
from batchscore.savedmodel.model_files import list_model_files, readable_model
from batchscore.savedmodel.saved_model import SavedModel

_LISTED = 5
_MODE = 0o666
_OWNER_READS_AND_WRITES = 0o600


def copy_model(saved: SavedModel, target: Path) -> None:
    """Copy every file of `saved` but a plan into the empty directory `target`.

    A copy may be read by those who may read the original, less what the umask takes. A link to a file inside the
    SavedModel becomes that file; any other link is refused: what it leads to would be published. The kernel copies
    if it can; no file is held in memory. Raises ModelError: E-MODEL-LINK, E-MODEL-UNREADABLE, E-MODEL-INCOMPLETE
    if the source changed meanwhile; OutputError (E-OUTPUT) if the copy cannot be written.
    """
    with readable_model(saved.path):
        _require_no_links_out(saved.path)
        sources = [path for path in list_model_files(saved.path) if not _is_plan(path.relative_to(saved.path))]
        modes = {path: path.stat().st_mode for path in sources}
    try:
        for source, mode in modes.items():
            copy = target / source.relative_to(saved.path)
            copy.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode & _MODE | _OWNER_READS_AND_WRITES))
            shutil.copyfile(source, copy)
    except OSError as error:
        raise OutputError(
            "E-OUTPUT",
            f"the model cannot be copied: {reason_of(error)}",
            where=error.filename2 or error.filename or target,
            next_step="check the permissions of both places and the free space of --output",
        ) from error
    if fingerprint(target) != saved.fingerprint:
        raise ModelError(
            "E-MODEL-INCOMPLETE",
            "the SavedModel changed while it was copied",
            where=saved.path,
            next_step="wait until its writer has finished, then adopt it again",
        )


def _is_plan(name: Path) -> bool:
    return name.as_posix().startswith(PLAN_FILES)


def _require_no_links_out(model: Path) -> None:
    """Raise ModelError (E-MODEL-LINK) if a link in `model` leads out of it, or to a folder."""
    inside = os.path.realpath(model)
    links = [
        path for folder, folders, files in os.walk(model) for name in (*folders, *files)
        if (path := Path(folder, name)).is_symlink()
    ]  # fmt: skip
    wrong = [path for path in links if path.is_dir() or not _leads_to(path).is_relative_to(inside)]
    if wrong:
        raise ModelError(
            "E-MODEL-LINK",
            "the SavedModel has links, and their targets would be published with it",
            where=model,
            found=_format(wrong[:_LISTED], model),
            expected="files, or links to files inside the SavedModel",
            next_step="check their targets; if all of them belong to the model, adopt a copy with files in "
            "their place (cp -rL)",
        )


def _leads_to(link: Path) -> Path:
    return Path(os.path.realpath(link))


def _format(links: list[Path], model: Path) -> str:
    return "; ".join(f"{path.relative_to(model)} -> {_leads_to(path)}" for path in links)
