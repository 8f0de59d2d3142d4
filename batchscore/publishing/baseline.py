"""What a run compares itself with: the output that its job published last."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batchscore.columns import RANK, RANK_TYPE, SCORE, SCORE_TYPE
from batchscore.report import Report

_BATCH_ROWS = 1_048_576


@dataclass(frozen=True)
class Baseline:
    """The last published output of a job, as far as anything is known of it; every field may be empty.

    `report` is its report. `users` (those that have a list) and `rows` come from the report, or are counted from
    the file if there is no report to believe. `file` is the output itself, if it still stands there. `warnings`
    say what is missing that should not be, and `notes` what a person may know but need not act on.
    """

    report: Report | None = None
    users: int | None = None
    rows: int | None = None
    file: Path | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Counted:
    """Users and rows of a ranked file."""

    users: int
    rows: int


def count_ranked(path: Path) -> Counted:
    """Count the users and rows of the ranked file `path`, a batch at a time: users stand together in it.

    Raises ValueError with the reason if it is not a ranked file, is damaged or cannot be read.
    """
    users, last = 0, None
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            schema = file.schema_arrow
            if schema.names[2:4] != [SCORE, RANK] or schema.types[2:4] != [SCORE_TYPE, RANK_TYPE]:
                raise ValueError("it has not the columns of a ranked output")
            for batch in file.iter_batches(_BATCH_ROWS, columns=schema.names[:1]):
                column = batch.column(0)
                if len(column):
                    changes = pc.sum(pc.not_equal(column[1:], column[:-1])).as_py() or 0
                    users += changes + (users == 0 or column[0] != last)
                    last = column[-1]
            return Counted(users, file.metadata.num_rows)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, MemoryError):
            raise
        raise ValueError(str(error).strip().splitlines()[0]) from error
