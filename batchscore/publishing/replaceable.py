"""The file in the output's place: a run replaces ranked lists, and nothing that is something else."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pyarrow as pa

from batchscore.columns import RANK, SCORE, WantedColumns
from batchscore.errors import InputError, OutputError, UsageError, format_list, shorten
from batchscore.publishing.job import STATE_FOLDER, Job
from batchscore.publishing.ranked_file import read_schema
from batchscore.publishing.records import find_report

_RECORD = re.compile(
    r".+\.(report\.json|failed\.json|(failed\.)?rejects\.jsonl|refused\.parquet|previous-\d+)|\..+\.(lock|tmp)"
)
"""The names of records, locks and temporary files of jobs."""


def require_no_record(output: Path) -> None:
    """Raise UsageError (E-OUTPUT-IS-INPUT) if `output` lies in a state folder, or bears the name of a record."""
    found = None
    if STATE_FOLDER in Path(os.path.realpath(output.parent)).parts:
        found = f"a folder {STATE_FOLDER}, in which jobs keep their records"
    elif _RECORD.fullmatch(output.name):
        found = "a name that a job gives to a record, a lock or a temporary file"
    if found is not None:
        raise UsageError(
            "E-OUTPUT-IS-INPUT",
            "the output would stand among the records of jobs",
            where=output,
            found=found,
            next_step="give --output another path",
        )


def require_replaceable(job: Job) -> None:
    """Raise OutputError (E-OUTPUT) if the file in the output's place is not one that a run may replace.

    It may if a report of the job tells of it, if it has the columns of ranked lists, or if it is damaged or empty
    and the job has a report, of the file before the damage.
    """
    reports = job.reports()
    if find_report(reports, job.path).report is not None:
        return
    try:
        schema = read_schema(job.path)
    except ValueError as error:
        if any(map(os.path.lexists, reports)):
            return
        found = f"no Parquet file: {error}" if job.path.stat().st_size else "an empty file"
    else:
        if _has_ranked_lists(job.path, schema):
            return
        found = (
            f"columns {format_list([f'{shorten(field.name)} {shorten(field.type)}' for field in schema], 'none')}"
        )
    raise OutputError(
        "E-OUTPUT",
        "the file in the output's place does not hold ranked lists, and is not replaced",
        where=job.path,
        found=found,
        expected="a user, a candidate, and a rank or a score column; or no file",
        next_step="give --output another path, or move the file away",
    )


def _has_ranked_lists(path: Path, schema: pa.Schema) -> bool:
    """Whether a table has the columns of an output, or columns that `batchscore diff` takes for ranked lists."""
    from batchscore.outputs.find_columns import find_columns  # noqa: PLC0415 - only if no report tells of the file

    if schema.names[2:4] == [SCORE, RANK]:
        return True
    try:
        find_columns(path, schema, WantedColumns())
    except InputError:
        return False
    return True
