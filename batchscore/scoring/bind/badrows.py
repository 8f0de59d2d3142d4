"""Row-exact checks. A bad row is named, counted and left out; more than the budget, and the run refuses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchscore.columns import SCORE, is_text
from batchscore.errors import InputError, ModelError
from batchscore.report_parts import GuardResult
from batchscore.scoring.bind.binding import Binding
from batchscore.scoring.bind.coded import Coded
from batchscore.scoring.bind.rejects import Found, Rejects
from batchscore.scoring.left_out import LeftOut
from batchscore.scoring.pairs import ScorablePairs, ScoredPairs
from batchscore.scoring.source.pair_source import PairBatch
from batchscore.settings.limits import Limit

_VALUE_CHARACTERS = 200
_NULL_FEATURE = "null feature"
_NOT_FINITE = "NaN or infinite"


@dataclass
class BadRows:
    """The bad rows of one run, against their budget."""

    budget: Limit
    total_rows: int | None
    """Rows of the input; None until they are known, and a budget that is a share waits for that."""
    left_out: LeftOut = field(default_factory=LeftOut)
    rejects: Rejects = field(default_factory=Rejects)
    filled: Counter[str] = field(default_factory=Counter)
    """Nulls that were filled, by model input."""
    rows: int = 0
    scored: int = 0
    finite: int = 0
    rejects_path: Path | None = None
    """Where the rejects lie when the run refuses."""
    advice: dict[tuple[str, str], str] = field(default_factory=dict)
    """What to do about a reason in a column, if there is more to say than to fix the rows."""

    @property
    def count(self) -> int:
        """How many there are."""
        return self.left_out.count

    def merge(self, other: Self) -> None:
        """Add the rows that `other`, with the same budget, was given."""
        self.left_out.merge(other.left_out)
        self.rejects.merge(other.rejects)
        self.filled.update(other.filled)
        self.advice |= other.advice
        self.rows += other.rows
        self.scored += other.scored
        self.finite += other.finite

    @property
    def over_budget(self) -> bool:
        """Whether the run will refuse."""
        if self.total_rows is None:
            return self.budget.count is not None and self.count > self.budget.count
        return self.budget.exceeded(self.count, self.total_rows)

    def drop_unusable(self, batches: Iterator[PairBatch], binding: Binding) -> Iterator[ScorablePairs]:
        """Cast each batch to what the model takes and leave its bad rows out.

        Bad are: a null or invalid id, a null feature without a fill, one that is NaN or infinite unless the model
        takes such, a value that its cast cannot keep. Once over the budget the rest of the input is still checked,
        so that the count is whole, but nothing more is passed on; then InputError (E-BAD-ROWS).
        """
        self.advice = _advise(binding)
        for batch in batches:
            self.rows += batch.table.num_rows
            pairs = self._check(batch, binding)
            if not self.over_budget:
                yield pairs
        self.total_rows = self.rows if self.total_rows is None else self.total_rows
        self.require_within_budget()

    def drop_unranked(self, scored: Iterator[ScoredPairs]) -> Iterator[ScoredPairs]:
        """Leave out pairs whose score is no finite float32, or on which the model itself failed.

        Over the budget: InputError (E-BAD-ROWS), or ModelError (E-MODEL-NONFINITE) if no score was finite.
        """
        for batch in scored:
            with np.errstate(over="ignore"):
                finite = np.isfinite(batch.scores.astype(np.float32, copy=False))
            finite[list(batch.failures)] = False
            self.scored += len(finite)
            self.finite += int(finite.sum())
            if finite.all():
                yield batch
                continue
            self._note(batch.pairs, _find_unranked(batch, finite))
            if self.over_budget:
                self.require_some_finite()
                self.require_within_budget()
            yield batch.keep(finite)

    def require_some_finite(self) -> None:
        """Raise ModelError (E-MODEL-NONFINITE) if pairs were scored and no score was finite."""
        if self.scored and not self.finite:
            raise ModelError(
                "E-MODEL-NONFINITE",
                "no pair has a finite score",
                found=f"{self.scored:,} pairs scored, all NaN, infinite or beyond float32",
                expected="finite scores",
                next_step="roll back with --model-version, and check the training run of this model",
            )

    def result(self) -> GuardResult:
        """The bad rows so far against their budget."""
        return GuardResult(name="max_bad_rows", figure=self.count, limit=str(self.budget), ok=not self.over_budget)

    def require_within_budget(self) -> None:
        """Raise InputError (E-BAD-ROWS) if there are more bad rows than the budget allows."""
        if not self.over_budget:
            return
        first, *_ = told = self.rejects.in_order()
        raise InputError(
            "E-BAD-ROWS",
            "1 bad row" if self.count == 1 else f"{self.count:,} bad rows",
            where=f"{first.file}, row {first.row:,}, column {first.column}: {first.reason}",
            found=self.left_out.describe(),
            expected=f"at most {self.budget} of {self.total_rows or self.rows:,} rows (--max-bad-rows)",
            details=[f"column {item.column}, first at row {item.row:,}: {item.reason}"
                     + ("" if item.value is None else f", value {item.value}") for item in told]
            + ([f"rejects file: {self.rejects_path}"] if self.rejects_path else []),
            next_step="".join(f"{self.advice[item.kind]}; " for item in told if self.advice.get(item.kind))
            + "fix the rows in the rejects file at their source, or raise --max-bad-rows",
        )  # fmt: skip

    def _check(self, batch: PairBatch, binding: Binding) -> ScorablePairs:
        originals = {name: Coded.read(batch.table.column(name)) for name in binding.columns}
        columns = dict(originals)
        bad = _Marks(batch.table.num_rows, originals)
        for name, column in originals.items():
            if is_text(column.values.type):
                invalid, values = _invalid_text(column.values)
                columns[name] = column.with_values(values)
                bad.mark(column.spread(invalid), name, "invalid UTF-8")
        for name in (binding.user, binding.candidate):
            bad.mark(columns[name].nulls(), name, "null id")
        feeds, missing = {}, {}
        for bound in binding.inputs:
            column = columns[bound.column]
            values, uncast = bound.cast.apply(column.values)
            bad.mark(column.spread(uncast), bound.column, bound.cast.reason)
            if not bound.nonfinite:
                bad.mark(column.spread(_not_finite(values)), bound.column, _NOT_FINITE)
            feeds[bound.input.name] = column.with_values(values).to_array()
            nulls = column.nulls()
            if bound.fill is None:
                bad.mark(nulls, bound.column, _NULL_FEATURE)
            elif nulls is not None:
                feeds[bound.input.name] = _fill(feeds[bound.input.name], bound.fill)
                missing[bound.input.name] = nulls
        for name, nulls in missing.items():
            self.filled[name] += int((nulls & ~bad.rows).sum())
        pairs = ScorablePairs(
            file=batch.path,
            rows=np.arange(batch.first_row, batch.first_row + batch.table.num_rows),
            user=columns[binding.user].to_array(),
            candidate=columns[binding.candidate].to_array(),
            kept=[columns[column].to_array() for column in binding.kept.values()],
            feeds=feeds,
            constants=binding.constants,
        )
        self._note(pairs, bad.found)
        return pairs.keep(~bad.rows) if bad.found else pairs

    def _note(self, pairs: ScorablePairs, found: Sequence[Found]) -> None:
        """Count the bad rows of a batch, and tell the first ones."""
        if found:
            for item in found:
                self.left_out.add(item.reason, pairs.user.take(pa.array(item.positions)))
            self.rejects.add(pairs.file, pairs.rows, found)


def _advise(binding: Binding) -> dict[tuple[str, str], str]:
    """By column and reason: the flag that would take such rows, or the type that the column should have."""
    advice = {}
    for bound in binding.inputs:
        column, name = bound.column, bound.input.name
        advice[column, bound.cast.reason] = bound.cast.advice
        if column not in (binding.user, binding.candidate):
            advice[column, _NULL_FEATURE] = f"--fill {name} replaces the nulls of {column}"
            advice[column, _NOT_FINITE] = f"--allow-nonfinite {name} if the model knows what to do with them"
    return advice


class _Marks:
    """Rows of one batch that are bad, each for the first thing found wrong with it."""

    def __init__(self, rows: int, columns: Mapping[str, Coded]) -> None:
        self.rows = np.zeros(rows, bool)
        self.found: list[Found] = []
        self._columns = columns

    def mark(self, mask: np.ndarray | None, column: str, reason: str) -> None:
        if mask is not None and (fresh := mask & ~self.rows).any():
            values = self._columns[column]
            self.found.append(
                Found(np.flatnonzero(fresh), column, reason, lambda position: _format(values.scalar(position)))
            )
            self.rows |= fresh


def _find_unranked(batch: ScoredPairs, finite: np.ndarray) -> list[Found]:
    """The pairs that have no score to be ranked by, by the reason."""
    failed = np.zeros(len(finite), bool)
    failed[list(batch.failures)] = True
    overflowing = ~finite & ~failed & np.isfinite(batch.scores)

    def score(position: int) -> str:
        return str(batch.scores[position])

    def failure(position: int) -> str:
        return batch.failures[position][:_VALUE_CHARACTERS]

    found = [
        Found(np.flatnonzero(failed), SCORE, "the model failed on the row", failure),
        Found(np.flatnonzero(overflowing), SCORE, "score overflows float32", score),
        Found(np.flatnonzero(~finite & ~failed & ~overflowing), SCORE, "score is not finite", score),
    ]
    return [item for item in found if len(item.positions)]


def _not_finite(array: pa.Array) -> np.ndarray | None:
    """Rows that are NaN or infinite, or None if none is."""
    if not pa.types.is_floating(array.type):
        return None
    bad = ~np.isfinite(array.to_numpy(zero_copy_only=False))
    if array.null_count:
        bad &= array.is_valid().to_numpy(zero_copy_only=False)
    return bad if bad.any() else None


def _fill(array: pa.Array, value: pa.Scalar) -> pa.Array:
    plain = array.dictionary_decode() if isinstance(array, pa.DictionaryArray) else array
    return pc.fill_null(plain, value)


def _invalid_text(array: pa.Array) -> tuple[np.ndarray | None, pa.Array]:
    """Rows that are no UTF-8, and the array with nulls in their place."""
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        raw = array.cast(pa.large_binary())
        doubtful = pc.fill_null(pc.invert(pc.string_is_ascii(array)), fill_value=False)
        mask: np.ndarray = doubtful.to_numpy(zero_copy_only=False)
        mask[mask] = [not _is_utf8(item) for item in raw.filter(doubtful).to_pylist()]
        return mask, pc.if_else(pa.array(mask), None, raw).cast(array.type)
    return None, array


def _is_utf8(item: bytes) -> bool:
    try:
        item.decode()
    except UnicodeDecodeError:
        return False
    return True


def _format(scalar: pa.Scalar) -> str | None:
    try:
        value = scalar.as_py()
    except UnicodeDecodeError:
        value = bytes(scalar.as_buffer())
    except (ValueError, OverflowError):  # a time that Python has no object for
        value = f"{scalar.value} ({scalar.type})"
    return None if value is None else str(value)[:_VALUE_CHARACTERS]
