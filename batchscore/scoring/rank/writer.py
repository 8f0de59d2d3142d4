"""Lists to Parquet. The bytes depend on nothing but the rows and the libraries' versions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from batchscore.scoring.rank.lists import RankedLists

_ROW_GROUP_ROWS = 1_048_576
_SCORE = 2
"""The place of the scores among the columns."""


def write_lists(lists: RankedLists, path: Path) -> None:
    """Write `lists` to `path`; scores as float32, each rounded once."""
    with pq.ParquetWriter(
        path, lists.schema, compression="zstd", write_page_checksum=True, store_schema=True
    ) as writer:
        for part in _parts(lists):
            writer.write_table(part, row_group_size=_ROW_GROUP_ROWS)


def _parts(lists: RankedLists) -> Iterator[pa.Table]:
    for start in range(0, max(lists.rows, 1), _ROW_GROUP_ROWS):
        table = lists.frame.slice(start, _ROW_GROUP_ROWS).to_arrow().rename_columns(lists.schema.names)
        table = table.set_column(_SCORE, lists.schema.names[_SCORE], _as_written(table.column(_SCORE)))
        yield table.cast(lists.schema).combine_chunks()


def _as_written(scores: pa.ChunkedArray) -> pa.ChunkedArray:
    """float32; what rounds to -0.0 becomes 0.0."""
    if scores.type == pa.float32():
        return scores
    return pa.chunked_array([pa.array(scores.to_numpy().astype(np.float32) + np.float32(0))])
