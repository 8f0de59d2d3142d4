"""Rows with drawn negatives, for a task that is evaluated by telling the one from the other."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchscore.interactions.epochs import draw_others
from batchscore.interactions.table_rows import TableRows
from batchscore.settings.recipe import Click
from batchscore.settings.train import TrainSettings

_DRAW = 2**31
"""No epoch has this number, so the negatives of an evaluation are not those of an epoch."""


def drawing_task(settings: TrainSettings) -> Click | None:
    """The task that draws its negatives; there is at most one."""
    tasks = settings.all_tasks().values()
    return next((task for task in tasks if isinstance(task, Click) and task.negatives), None)


def add_negatives(rows: pa.Table, candidates: pa.Table, task: Click, settings: TrainSettings) -> pa.Table:
    """`rows` with `task.label` 1 (float32), then `task.negatives` rows for each with label 0, in memory.

    A negative is the row with another candidate, drawn with the seed, and its features. `candidates` has a row for
    each candidate that may be drawn.
    """
    key = settings.candidate_column
    ids = pc.index_in(rows[key], value_set=candidates[key].combine_chunks()).fill_null(len(candidates))
    random = np.random.default_rng([settings.seed, _DRAW])
    drawn = pa.array(draw_others(ids.to_numpy(), len(candidates), task.negatives, random).reshape(-1))
    negatives = TableRows(rows).take(np.repeat(np.arange(len(rows)), task.negatives))
    for name in set(candidates.column_names) & set(rows.column_names):
        place = rows.column_names.index(name)
        negatives = negatives.set_column(place, rows.schema.field(name), candidates[name].take(drawn))
    labels = np.zeros(len(rows) + len(negatives), np.float32)
    labels[: len(rows)] = 1
    return pa.concat_tables([rows, negatives]).append_column(task.label, pa.array(labels))
