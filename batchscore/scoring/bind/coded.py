"""A column of a batch as its values and, for text, the codes that say which row has which value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from batchscore.columns import is_text


@dataclass(frozen=True)
class Coded:
    """n rows. Without `codes` row i has value i; with them row i has value `codes[i]`, or null if it is -1.

    What is found out about a value is found out once, however many rows have it. Some values may be of no row.
    """

    values: pa.Array
    codes: np.ndarray | None
    read_as: pa.Array | None = None
    """The array that these rows were read from, while they are its rows."""

    @classmethod
    def read(cls, array: pa.Array) -> Coded:
        """The column `array`; string views, which Arrow cannot filter, become large_string."""
        if not isinstance(array, pa.DictionaryArray):
            return cls(array.cast(pa.large_string()) if pa.types.is_string_view(array.type) else array, None)
        if not is_text(array.type.value_type):
            return cls(array.dictionary_decode(), None)
        values, indices = array.dictionary, array.indices
        if indices.type != pa.int32():
            indices, array = indices.cast(pa.int32()), None
        if pa.types.is_string_view(values.type):
            values, array = values.cast(pa.large_string()), None
        if indices.null_count:
            indices, array = indices.fill_null(-1), None
        return cls(values, indices.to_numpy(zero_copy_only=False), array)

    def with_values(self, values: pa.Array) -> Coded:
        """The same rows with other values in the old ones' places."""
        return self if values is self.values else Coded(values, self.codes)

    def spread(self, mask: np.ndarray | None) -> np.ndarray | None:
        """A bool mask over the values as one over the rows; None stands for false everywhere."""
        if mask is None or self.codes is None:
            return mask
        rows: np.ndarray = np.append(mask, np.False_)[self.codes]
        return rows

    def nulls(self) -> np.ndarray | None:
        """Rows that are null, or None if none is."""
        mask = self.values.is_null().to_numpy(zero_copy_only=False) if self.values.null_count else None
        if self.codes is None or (mask is None and not self._has_null_codes()):
            return mask
        null_values = np.zeros(len(self.values), bool) if mask is None else mask
        rows: np.ndarray = np.append(null_values, np.True_)[self.codes]
        return rows if rows.any() else None

    def scalar(self, row: int) -> pa.Scalar:
        """The value of a row."""
        if self.codes is None:
            return self.values[row]
        return self.values[int(self.codes[row])] if self.codes[row] >= 0 else pa.scalar(None, self.values.type)

    def to_array(self) -> pa.Array:
        """As an Arrow array: text with codes as a dictionary array, all else plain."""
        if self.codes is None or self.read_as is not None:
            return self.values if self.read_as is None else self.read_as
        codes = pa.array(self.codes, pa.int32(), mask=self.codes < 0 if self._has_null_codes() else None)
        if is_text(self.values.type):
            return pa.DictionaryArray.from_arrays(codes, self.values)
        return self.values.take(codes)

    def _has_null_codes(self) -> bool:
        return self.read_as is None and self.codes is not None and bool(len(self.codes) and self.codes.min() < 0)
