"""Opening ranked lists: outputs of a run, which are checked row by row as they pass, and any other tables."""

from __future__ import annotations

from pathlib import Path

from batchscore.columns import WantedColumns
from batchscore.outputs.find_columns import find_columns, require_known
from batchscore.outputs.list_reader import ListReader
from batchscore.outputs.rows import has_ranked_columns, open_ranked
from batchscore.outputs.table_files import TableFiles, open_table
from batchscore.outputs.table_lists import read_table_lists


def open_lists(wanted: WantedColumns, *paths: Path) -> list[ListReader]:
    """The lists at each of `paths`, a file or a folder. A name of `wanted` is meant for every table that has it.

    A file with the columns of an output is taken as one, unless `wanted` names a column of it; all else is read
    into memory and sorted. Raises InputError (E-RANKED-FILE).
    """
    tables = [open_table(path) for path in paths]
    require_known(wanted, [table.schema for table in tables], list(paths))
    return [_open(table, wanted) for table in tables]


def _open(table: TableFiles, wanted: WantedColumns) -> ListReader:
    named = frozenset(wanted.names()) & frozenset(table.schema.names)
    if has_ranked_columns(table.schema) and not table.is_folder and not named:
        return open_ranked(table.path)
    return read_table_lists(table, find_columns(table.path, table.schema, wanted), named)
