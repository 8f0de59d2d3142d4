"""Ids as small integers, so that millions of pairs fit into a few arrays."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MISSING = -1
"""The code of an id that is not among those known."""


class Codes:
    """Distinct ids of one type, each with the number (int32, from 0) in the order in which it was first seen."""

    def __init__(self, type_: pa.DataType) -> None:
        self.ids: pa.Array = pa.array([], type_)

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, ids: pa.Array | pa.ChunkedArray) -> np.ndarray:
        """The codes of `ids` (no nulls), int32 `[rows]`; ids not seen before get new ones."""
        codes, distinct = encode(ids, self.ids.type)
        known = self._find(distinct)
        new = np.flatnonzero(known == MISSING)
        known[new] = np.arange(len(self.ids), len(self.ids) + len(new), dtype=np.int32)
        self.ids = pa.concat_arrays([self.ids, distinct.take(pa.array(new))])
        found: np.ndarray = known[codes]
        return found

    def find(self, ids: pa.Array | pa.ChunkedArray) -> np.ndarray:
        """The codes of `ids` (no nulls), int32 `[rows]`; MISSING for those never seen."""
        codes, distinct = encode(ids, self.ids.type)
        found: np.ndarray = self._find(distinct)[codes]
        return found

    def _find(self, distinct: pa.Array) -> np.ndarray:
        found = pc.index_in(distinct, value_set=self.ids)
        return np.array(found.fill_null(MISSING), dtype=np.int32)


def encode(ids: pa.Array | pa.ChunkedArray, type_: pa.DataType | None = None) -> tuple[np.ndarray, pa.Array]:
    """The rows' positions (int32) among the distinct ids, and these in the order of appearance, cast to `type_`.

    Walks the chunks; only the distinct ids are copied.
    """
    chunks = ids.chunks if isinstance(ids, pa.ChunkedArray) else [ids]
    encoded = (pa.chunked_array(chunks, ids.type) if chunks else pa.chunked_array([], ids.type)).dictionary_encode()
    distinct = encoded.chunk(encoded.num_chunks - 1).dictionary if encoded.num_chunks else pa.array([], ids.type)
    positions = [chunk.indices.to_numpy() for chunk in encoded.chunks]
    codes = np.concatenate(positions) if positions else np.empty(0, np.int32)
    return codes, distinct if type_ is None else distinct.cast(type_)


def order_of(distinct: pa.Array) -> np.ndarray:
    """The place of each id in ascending order (text by its UTF-8 bytes), int32 from 0."""
    places = np.empty(len(distinct), np.int32)
    places[pc.sort_indices(distinct).to_numpy()] = np.arange(len(distinct), dtype=np.int32)
    return places


def pair_keys(users: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """One int64 for each pair of codes, in the order of users, then candidates."""
    return users.astype(np.int64) << 32 | candidates.astype(np.int64)
