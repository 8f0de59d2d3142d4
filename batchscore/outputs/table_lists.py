"""Any table of ranked lists, its rows in any order: read once, sorted in memory as codes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from batchscore.arrays.codes import Codes, order_of, pair_keys
from batchscore.arrays.tolerance import score_tolerance
from batchscore.columns import RANK, SCORE, ListColumns, wide_id_type
from batchscore.errors import InputError, shorten
from batchscore.outputs.list_reader import CANDIDATE, USER, Survey
from batchscore.outputs.table_files import TableFiles

_FRAME_ROWS = 1_048_576


@dataclass(frozen=True)
class TableLists:
    """Lists of a table by user, then rank: codes of the ids, ranks from 1 (int32), scores or None, all `[rows]`."""

    path: Path
    schema: pa.Schema
    columns: ListColumns
    named: frozenset[str]
    user_ids: pa.Array
    candidate_ids: pa.Array
    users: np.ndarray
    candidates: np.ndarray
    ranks: np.ndarray
    scores: np.ndarray | None
    is_output: bool = False

    @property
    def rows(self) -> int:
        """The rows of all lists together."""
        return len(self.users)

    @property
    def scored(self) -> bool:
        """Whether there are scores."""
        return self.scores is not None

    @property
    def user(self) -> pa.Field:
        """The user column."""
        return self.schema.field(self.columns.user)

    @property
    def candidate(self) -> pa.Field:
        """The candidate column."""
        return self.schema.field(self.columns.candidate)

    @property
    def kept(self) -> list[str]:
        """The names of the other columns."""
        return [name for name in self.schema.names if name not in self.columns.names()]

    def survey(self) -> Survey:
        """The longest list and the tolerance of the scores."""
        tolerance = 0.0 if self.scores is None else score_tolerance(self.scores)
        return Survey(int(self.ranks.max(initial=0)), tolerance)

    def read(self) -> Iterator[pl.DataFrame]:
        """The rows in their order; see `ListReader.read`."""
        for start in range(0, max(self.rows, 1), _FRAME_ROWS):
            here = slice(start, start + _FRAME_ROWS)
            ids = pa.table({
                USER: self.user_ids.take(pa.array(self.users[here])),
                CANDIDATE: self.candidate_ids.take(pa.array(self.candidates[here])),
            })  # fmt: skip
            ranks = self.ranks[here]
            scores = pl.repeat(None, len(ranks), dtype=pl.Float64, eager=True)
            if self.scores is not None:
                scores = pl.Series(self.scores[here])
            yield pl.DataFrame(pl.from_arrow(ids)).with_columns(scores.alias(SCORE), pl.Series(RANK, ranks))


def read_table_lists(files: TableFiles, columns: ListColumns, named: frozenset[str]) -> TableLists:
    """Read and sort the lists of a table. Ranks may be any integers that differ within a list: their order counts.

    Without a rank the order is that of a run: score descending, then candidate ascending. Raises InputError
    (E-RANKED-FILE) for nulls, scores that are not finite, and a rank or candidate that a list has twice.
    """
    users = Codes(wide_id_type(files.schema.field(columns.user).type))
    candidates = Codes(wide_id_type(files.schema.field(columns.candidate).type))
    read: list[tuple[np.ndarray, ...]] = []
    for file, row, batch in files.batches(columns.names()):
        _require_values(file, row, batch, columns)
        read.append((
            users.add(batch.column(columns.user).cast(users.ids.type)),
            candidates.add(batch.column(columns.candidate).cast(candidates.ids.type)),
            *(_numbers(batch.column(name)) for name in (columns.rank, columns.score) if name is not None),
        ))  # fmt: skip
    joined = [np.concatenate(parts) for parts in zip(*read, strict=True)]
    if not joined:
        joined = [np.empty(0, np.int32), *(np.empty(0, np.int32) for _ in columns.names()[1:])]
    user_codes, candidate_codes, *numbers = joined
    ranks = numbers[0] if columns.rank is not None else None
    scores = numbers[-1] if columns.score is not None else None
    places = order_of(users.ids)[user_codes]
    if ranks is not None:
        order = np.lexsort((ranks, places))
        _require_distinct_ranks(files.path, users, user_codes[order], ranks[order])
    else:
        order = np.lexsort((order_of(candidates.ids)[candidate_codes], _descending(scores), places))
    user_codes, candidate_codes = user_codes[order], candidate_codes[order]
    _require_distinct_candidates(files.path, users, candidates, user_codes, candidate_codes)
    return TableLists(
        files.path, files.schema, columns, named, users.ids, candidates.ids, user_codes, candidate_codes,
        _count_ranks(user_codes), None if scores is None else scores[order],
    )  # fmt: skip


def _numbers(column: pa.Array) -> np.ndarray:
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.string()).cast(pa.float64())
    elif pa.types.is_float16(column.type):
        column = column.cast(pa.float32())
    numbers: np.ndarray = column.to_numpy(zero_copy_only=False)
    return numbers


def _descending(scores: np.ndarray | None) -> np.ndarray:
    """Numbers of the same width whose ascending order is the descending order of the scores."""
    if scores is None:
        raise ValueError("lists without ranks have scores")
    return ~scores if scores.dtype.kind in "iu" else -scores


def _count_ranks(users: np.ndarray) -> np.ndarray:
    first = np.flatnonzero(np.append(True, users[1:] != users[:-1])) if len(users) else np.empty(0, np.int64)
    lengths = np.diff(first, append=len(users))
    ranks: np.ndarray = np.arange(1, len(users) + 1) - np.repeat(first, lengths)
    return ranks.astype(np.int32)


def _require_values(file: Path, first: int, batch: pa.RecordBatch, columns: ListColumns) -> None:
    for name in columns.names():
        column = batch.column(name)
        bad = pc.is_null(column)
        if name == columns.score and pa.types.is_floating(column.type):
            finite = np.isfinite(column.to_numpy(zero_copy_only=False))  # a null is NaN
            bad = pc.or_(bad, pa.array(~finite))
        rows = np.flatnonzero(bad.to_numpy(zero_copy_only=False))
        if len(rows):
            value = column[int(rows[0])].as_py()
            spare = name == columns.score and columns.rank is not None
            hint = "; or leave the scores out: --score-column off" if spare else ""
            raise _not_lists(
                file, f"row {first + rows[0]:,}: {shorten(name)} is {'null' if value is None else value}",
                "no null, and finite scores", f"leave such rows out{hint}",
            )  # fmt: skip


def _require_distinct_ranks(path: Path, users: Codes, codes: np.ndarray, ranks: np.ndarray) -> None:
    """`codes` and `ranks` are sorted."""
    repeated = np.flatnonzero((codes[1:] == codes[:-1]) & (ranks[1:] == ranks[:-1]))
    if len(repeated):
        row = int(repeated[0])
        raise _not_lists(
            path, f"user {shorten(users.ids[int(codes[row])])} has rank {ranks[row]} more than once",
            "a rank once in each list", "give one list per user, or name another column with --rank-column",
        )  # fmt: skip


def _require_distinct_candidates(
    path: Path, users: Codes, candidates: Codes, user_codes: np.ndarray, candidate_codes: np.ndarray
) -> None:
    keys = np.sort(pair_keys(user_codes, candidate_codes))
    repeated = np.flatnonzero(keys[1:] == keys[:-1])
    if len(repeated):
        user, candidate = divmod(int(keys[repeated[0]]), 2**32)
        raise _not_lists(
            path, f"candidate {shorten(candidates.ids[candidate])} occurs more than once in the list of user "
            f"{shorten(users.ids[user])}",
            "a candidate once in each list", "keep one row per pair, such as that of the last impression",
        )  # fmt: skip


def _not_lists(path: Path, found: str, expected: str, next_step: str) -> InputError:
    return InputError(
        "E-RANKED-FILE", "this is not a table of ranked lists", where=path, found=found, expected=expected,
        next_step=next_step,
    )  # fmt: skip
