"""A MovieLens archive as a data set: READ FIRST for `batchscore data movielens`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from batchscore.datasets.archive import open_archive
from batchscore.datasets.dataset import DatasetReport, write_dataset
from batchscore.datasets.download import KNOWN_ARCHIVES, KnownArchive, download_archive
from batchscore.datasets.layouts import recognise
from batchscore.errors import UsageError
from batchscore.observer import Observer
from batchscore.settings.paths import require_paths

LICENCE = (
    "MovieLens data comes from GroupLens, University of Minnesota, under its own terms: see the README inside the "
    "archive; redistribution only under its terms."
)


def convert_movielens(
    source: str | Path,
    output: Path,
    *,
    candidates_per_user: int = 500,
    seed: int = 42,
    observer: Observer | None = None,
    known: Mapping[str, KnownArchive] = KNOWN_ARCHIVES,
) -> DatasetReport:
    """Write `interactions.parquet` and `pairs.parquet` into the folder `output` from a MovieLens archive.

    `source` is the path of a zip file or of the folder it was unpacked to, recognised by its files (see
    `layouts`), or one of the `known` names, which is downloaded into `output` and kept there; an existing path
    wins over a name. What the two files hold, and in which order: `dataset.write_dataset`; whose candidates they
    are: `candidates.draw_candidates`. The same archive, options and pyarrow version give the same bytes.
    ml-25m takes a few minutes and about 2 GB of memory.

    Raises InputError (E-ARCHIVE, E-DOWNLOAD), UsageError (E-EXTRA-MISSING, E-CONFIG) and
    OutputError (E-OUTPUT).
    """
    require_paths(Path(source), output)
    observer = observer or Observer()
    path = _find(source, output, known, observer)
    observer.stage(f"reading {path.name}")
    with open_archive(path) as archive:
        catalogue, ratings = recognise(archive).read(archive)
    return write_dataset(
        str(path), catalogue, ratings, output, candidates_per_user=candidates_per_user, seed=seed, observer=observer
    )


def _find(source: str | Path, output: Path, known: Mapping[str, KnownArchive], observer: Observer) -> Path:
    path = Path(source)
    if path.exists():
        return path
    if str(source) in known:
        archive = known[str(source)]
        observer.stage(f"downloading {archive.url}")
        return download_archive(archive, output)
    raise UsageError(
        "E-CONFIG",
        "there is no such archive",
        where=path,
        expected=f"a path that exists, or one of the names {', '.join(known)}",
        next_step="correct the path or the name",
    )
