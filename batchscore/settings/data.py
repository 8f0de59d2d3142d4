"""The settings of the commands of `batchscore data`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import NonNegativeInt, PositiveInt

from batchscore.settings.base import Settings
from batchscore.settings.setting import Argument, Setting

_Folder = Annotated[Path, Setting("DIR", "Folder for the two files; it is made if it is not there.", written=True)]


class SyntheticSettings(Settings):
    """Settings of `batchscore data synthetic`."""

    output: _Folder


class MovieLensSettings(Settings):
    """Settings of `batchscore data movielens`. `source` is a path or the name of an archive."""

    source: Annotated[
        str, Argument("PATH_OR_NAME", "A zip file from GroupLens, the folder it was unpacked to, or a name.")
    ]
    output: _Folder
    candidates_per_user: Annotated[
        PositiveInt,
        Setting("N", "Pairs per user: movies drawn from those that someone has rated, but not the user."),
    ] = 500
    seed: Annotated[
        NonNegativeInt, Setting("N", "Seed of the draw. The same archive and seed give the same files.")
    ] = 42
