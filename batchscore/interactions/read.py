"""Interactions from Parquet or CSV with their side tables, checked once and as a whole, in canonical types."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from batchscore.errors import format_value
from batchscore.interactions.checked_column import CheckedColumn, Column, list_columns
from batchscore.interactions.identity import Identity, identify_files
from batchscore.interactions.input_files import TableFile, open_table_file
from batchscore.interactions.prepared import PreparedRows
from batchscore.interactions.side_tables import SideTable, read_side_table
from batchscore.settings.recipe import Role
from batchscore.settings.train import TrainSettings

_log = logging.getLogger(__name__)

_NO_COLUMN = "there is no such column"


@dataclass(frozen=True)
class Interactions:
    """Checked interactions, in the order of the file.

    The columns of `rows` are the features (the two ids first), then the labels, then the moment if it is no
    feature. Ids and other vocabularies are large_string or int64, numbers and labels float32 and finite, moments
    int64 epoch seconds, texts and lists large_string; nothing is null. Many rows are a mapping of a file in `work`:
    walk their batches. `filled` counts the nulls that a fill stands for, by column; `files` are the files they come
    from, by setting.
    """

    rows: pa.Table
    work: Path
    filled: dict[str, int] = field(default_factory=dict)
    files: dict[str, Identity] = field(default_factory=dict)


def read_interactions(settings: TrainSettings, work: Path) -> Interactions:
    """All interactions of `settings.input`, joined with the side tables; other columns are not read.

    Whole-number ids become int64, text stays text. In a CSV file ids and vocabularies are text, exactly as it is
    written there (`007` is not 7), an empty field is a null, and a moment is epoch seconds or ISO 8601 (UTC if
    no zone is written). A label may be of any number type or bool. Side tables are held in memory, the interactions
    a batch at a time; what is too large for memory goes to a file below `work` (see PreparedRows).

    Raises TryLaterError (E-INPUT-MISSING) if there is no file, OutputError (E-OUTPUT) if `work` cannot be
    written, and InputError: E-INPUT-* if a file cannot be read, E-INTERACTIONS (with everything that is wrong at
    once) where its rows cannot be used: columns that are missing or stand twice, wrong types, no rows, nulls
    without a fill, columns that are null everywhere, numbers that are not finite, clicks other than 0 and 1, fewer
    than two users or candidates, a label that is the same everywhere, ids that a side table lacks or repeats.
    """
    files = identify_files(settings)
    with ExitStack() as stack:
        file = stack.enter_context(open_table_file(settings.input, "interactions", "--input"))
        reading = _Reading(file, settings, stack)
        rows = 0
        prepared = stack.enter_context(PreparedRows(reading.schema, work / "interactions.arrow"))
        for batch in reading.batches():
            if reading.is_good:
                prepared.append(batch)
            rows += batch.num_rows
        if problems := reading.problems(rows):
            raise file.unusable(problems)
        return Interactions(prepared.finish(), work, reading.count_filled(), files)


class _Reading:
    """The columns that are wanted, where each comes from, and all that is wrong with them."""

    def __init__(self, file: TableFile, settings: TrainSettings, stack: ExitStack) -> None:
        self._file = file
        self._settings = settings
        self._columns: dict[str, CheckedColumn] = {}
        self._direct: list[str] = []
        self._joined: dict[Role, list[str]] = {"user": [], "candidate": []}
        self._sides: dict[Role, _Side] = {}
        paths: dict[Role, Path | None] = {"user": settings.users, "candidate": settings.candidates}
        side_files = {
            role: stack.enter_context(open_table_file(path, f"{role}s", f"--{role}s"))
            for role, path in paths.items()
            if path is not None
        }
        wanted = list_columns(settings)
        self._problems: dict[str, list[str]] = {column.name: [] for column in wanted}
        file.require_once([column.name for column in wanted])
        for column in wanted:
            side_file = side_files.get(column.role) if column.role and column.use != "id" else None
            self._find(column, side_file)
        self._refuse_sampled_labels()
        for role, side_file in side_files.items():
            self._read_side(role, side_file)

    @property
    def schema(self) -> pa.Schema:
        """Of the batches: every wanted column that can be read."""
        return pa.schema([(name, column.target) for name, column in self._columns.items()])

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong so far."""
        return (
            not any(self._problems.values())
            and all(side.missing == 0 for side in self._sides.values())
            and all(column.is_good for column in self._columns.values())
        )

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows in canonical types; where something is wrong there are nulls."""
        joined = [name for names in self._joined.values() for name in names]
        first_row = 0
        for batch in self._file.batches(self._direct) if self._direct else ():
            values = {name: self._columns[name].prepare(batch[name], first_row) for name in self._direct}
            for name in joined:
                values[name] = pa.nulls(batch.num_rows, self._columns[name].target)
            for role, side in self._sides.items():
                keys = values[side.table.key]
                found = side.find_rows(keys, first_row)
                for name in self._joined[role]:
                    values[name] = self._columns[name].prepare(
                        side.table.columns[name].take(found), first_row, counted=found.is_valid(), keys=keys
                    )
            yield pa.record_batch([values[name] for name in self._columns], schema=self.schema)
            first_row += batch.num_rows

    def problems(self, rows: int) -> list[str]:
        """All that is wrong with a file of so many rows, the columns in their order."""
        found = {name: list(problems) for name, problems in self._problems.items()}
        for name, column in self._columns.items():
            found[name] += column.problems(rows)
        for side in self._sides.values():
            found[side.table.key] += side.problems(rows)
        nothing = ["there are no rows"] if rows == 0 and self._direct else []
        return [problem for problems in found.values() for problem in problems] + nothing

    def count_filled(self) -> dict[str, int]:
        """Nulls that a fill stands for, by column that had any."""
        counts = {name: column.count_filled() for name, column in self._columns.items()}
        return {name: count for name, count in counts.items() if count}

    def _find(self, column: Column, side_file: TableFile | None) -> None:
        """Where the column comes from: the interactions, or the side table that it may stand in."""
        name = column.name
        here, there = name in self._file.names, side_file is not None and name in side_file.names
        if here and not there:
            self._add(column, self._file)
        elif side_file is None:
            self._problems[name].append(f"{name}: {_NO_COLUMN}")
        elif not there:
            self._problems[name].append(f"{name}: {_NO_COLUMN}, and none in {side_file.path.name}")
        elif here:
            self._problems[name].append(
                f"{name}: is a column of the interactions and of {side_file.path.name}; leave it out of one of them"
            )
        else:
            self._add(column, side_file)

    def _add(self, column: Column, file: TableFile) -> None:
        name = column.name
        file.require_once([name])
        role = column.role if file is not self._file else None
        try:
            self._columns[name] = CheckedColumn(
                column,
                file.type_of(name),
                is_typed=file.is_typed,
                joined=None if role is None else f"joined from {file.path.name} by {self._key(role)}",
            )
        except ValueError as error:
            self._problems[name].append(f"{name}{f' in {file.path.name}' if role else ''}: {error}")
            return
        if role is None:
            self._direct.append(name)
        else:
            self._joined[role].append(name)

    def _read_side(self, role: Role, side_file: TableFile) -> None:
        key = self._key(role)
        side_file.require_once([key])
        if not self._joined[role] and not any(self._problems.values()):
            _log.warning("%s gives no feature: every %s feature comes from elsewhere", side_file.path.name, role)
        if key not in self._columns:
            return
        table, problems = read_side_table(
            side_file, key, self._columns[key].target, self._joined[role], key_is_typed=self._file.is_typed
        )
        self._problems[key] += problems
        if table is not None:
            self._sides[role] = _Side(table)

    def _refuse_sampled_labels(self) -> None:
        for name, task in self._settings.all_tasks().items():
            if not task.has_label_column and task.label in self._file.names:
                meaning = f"the task {name} counts every row as a yes and draws its negatives"
                advice = "give the task a label of another name, or set negatives = 0"
                self._problems[task.label] = [
                    f"{task.label}: is a column of the interactions, but {meaning}; {advice}"
                ]

    def _key(self, role: Role) -> str:
        return self._settings.user_column if role == "user" else self._settings.candidate_column


class _Side:
    """A side table, and the interactions that it has no row for."""

    def __init__(self, table: SideTable) -> None:
        self.table = table
        self.missing = 0
        self._first = (0, "")

    def find_rows(self, keys: pa.Array, first_row: int) -> pa.Array:
        """The row of each id; null if there is none."""
        found = self.table.find_rows(keys)
        missing = pc.and_(found.is_null(), keys.is_valid())
        count = pc.sum(missing).as_py() or 0
        if count and not self.missing:
            index = missing.index(pa.scalar(value=True)).as_py()
            self._first = (first_row + index, format_value(keys[index].as_py()))
        self.missing += count
        return found

    def problems(self, rows: int) -> list[str]:
        if not self.missing:
            return []
        row, key = self._first
        lacking = f"{self.missing:,} of {rows:,} rows have no row in {self.table.path.name}"
        return [f"{self.table.key}: {lacking}, the first is row {row:,} (from 0) with {key}"]
