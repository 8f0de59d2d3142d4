"""One dictionary for a column whose values recur from one row group to the next.

Parquet writes a dictionary a row group, and candidates stand in all of them. What later stages find out about a
dictionary (rows of tables, known ids) they then find out once and not once per row group.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchscore.arrays.distinct import is_same_array

_SAMPLE = 256
_MAX_NEW = 0.1
_MAX_BYTES = 2**30
"""Text of Arrow's usual layout holds 2 GB; a dictionary that would come near starts again."""


class RecurringValues:
    """Recodes the rows of one text column to a dictionary that stays, and grows by a few values at a time."""

    def __init__(self) -> None:
        self._kept: pa.Array | None = None
        self._last: pa.Array | None = None
        self._code_of: np.ndarray | None = None
        """For each value of the dictionary `_last` its place in `_kept`; None if they are the same."""

    def recode(self, column: pa.DictionaryArray) -> pa.DictionaryArray:
        """The same rows: with the dictionary that was kept, where at most a tenth of the values is new to it."""
        if column.dictionary.null_count or column.indices.null_count:
            return column
        if not is_same_array(self._last, column.dictionary):
            self._last, self._code_of = column.dictionary, self._place(column.dictionary)
        if self._code_of is None:
            return column
        codes = self._code_of[column.indices.to_numpy(zero_copy_only=False)]
        return pa.DictionaryArray.from_arrays(pa.array(codes), self._kept)

    def _place(self, values: pa.Array) -> np.ndarray | None:
        if (
            self._kept is None
            or self._kept.type != values.type
            or _is_new(values[:: len(values) // _SAMPLE + 1], self._kept)
        ):
            self._kept = values
            return None
        found = pc.index_in(values, value_set=self._kept)
        missing = found.is_null()
        new = values.filter(missing)
        if len(new) > _MAX_NEW * len(values) or self._kept.nbytes + new.nbytes > _MAX_BYTES:
            self._kept = values
            return None
        codes: np.ndarray = found.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int32)
        if len(new):
            codes[missing.to_numpy(zero_copy_only=False)] = np.arange(len(self._kept), len(self._kept) + len(new))
            self._kept = pa.concat_arrays([self._kept, new])
        return codes


def _is_new(sample: pa.Array, kept: pa.Array) -> bool:
    """Whether too many of the values stand in no row of `kept`, looked up without indexing all of it."""
    known = pc.sum(pc.is_in(kept, value_set=sample)).as_py() or 0
    return bool(known < (1 - 2 * _MAX_NEW) * len(sample))
