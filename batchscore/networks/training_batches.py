"""Tables as `tf.data`: training rows in a drawn order, with lists and negatives; rows in the order of the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from batchscore.interactions.epochs import Batch, TrainingLists, Window, draw_generator, draw_others, shuffle_rows
from batchscore.interactions.table_rows import TableRows
from batchscore.interactions.training_statistics import TrainingStatistics
from batchscore.networks.batch_columns import LIST, OBSERVED
from batchscore.settings.recipe import Click, Ranking
from batchscore.settings.train import TrainSettings

READ_BATCH_ROWS = 8192

Columns = dict[str, np.ndarray]


class TrainingBatches:
    """The training rows as batches of every feature and label by column name, `[batch]`.

    Texts are string, ids and moments int64, numbers and labels float32. Where a task ranks lists, a batch holds
    whole lists, and column `batch_columns.LIST` tells them apart. Where a task draws negatives, `OBSERVED` tells
    them from the rows of the input, whose other columns they share but for the features of the candidate.

    Any epoch can be had alone: it is drawn with the seed and its number. Only a window of `shuffle_rows` is held
    in memory; if a task ranks lists, a user's rows at least, and 8 bytes for each row.
    """

    def __init__(self, rows: pa.Table, statistics: TrainingStatistics, settings: TrainSettings) -> None:
        """`rows` are those that `statistics` were learned from; they may be mapped and larger than memory."""
        tasks = settings.all_tasks().values()
        rows = rows.select(
            [*settings.all_features(), *sorted({task.label for task in tasks if task.has_label_column})]
        )
        self.rows = rows.num_rows
        self.negatives = max([task.negatives for task in tasks if isinstance(task, Click)], default=0)
        self.element_spec: dict[str, tf.TensorSpec] = _specs(rows.schema)
        self._table = TableRows(rows)
        self._settings = settings
        lengths = [task.list_length for task in tasks if isinstance(task, Ranking)]
        self._lists = TrainingLists(rows[settings.user_column], lengths[0]) if lengths else None
        self._negatives = _Negatives(statistics, settings, self.negatives) if self.negatives else None
        if self._lists:
            self.element_spec[LIST] = tf.TensorSpec([None], tf.int64)
        if self._negatives:
            self.element_spec[OBSERVED] = tf.TensorSpec([None], tf.float32)

    @property
    def batch_rows(self) -> int:
        """Rows of the input in a batch: with their negatives they are about `settings.batch_rows`."""
        return max(1, self._settings.batch_rows // (1 + self.negatives))

    def epoch(self, number: int) -> tf.data.Dataset:
        """The batches of epoch `number` (from 0), in the same order whenever it is asked for."""
        return tf.data.Dataset.from_generator(
            lambda: self._batches(number), output_signature=self.element_spec
        ).prefetch(2)

    def _batches(self, epoch: int) -> Iterator[Columns]:
        random = draw_generator(self._settings.seed, epoch)
        for window in self._windows(random):
            table = self._table.take(window.rows)
            columns = {name: _to_numpy(table[name]) for name in table.column_names}
            negatives = self._negatives.draw(table, random) if self._negatives else None
            for batch in window.batches:
                yield _make_batch(columns, batch, negatives)

    def _windows(self, random: np.random.Generator) -> Iterator[Window]:
        window_rows = max(1, self._settings.shuffle_rows // (1 + self.negatives))
        if self._lists:
            return self._lists.shuffle(window_rows, self.batch_rows, random)
        return shuffle_rows(self.rows, window_rows, self.batch_rows, random)


def read_training_batches(rows: pa.Table, batch_rows: int = READ_BATCH_ROWS) -> tf.data.Dataset:
    """All columns of `rows` in their order, each `[batch]`, up to `batch_rows` rows at a time."""

    def batches() -> Iterator[Columns]:
        for batch in rows.to_batches(max_chunksize=batch_rows):
            if batch.num_rows:
                yield {name: _to_numpy(batch[name]) for name in rows.column_names}

    return tf.data.Dataset.from_generator(batches, output_signature=_specs(rows.schema)).prefetch(2)


def to_tensors(rows: pa.Table) -> dict[str, tf.Tensor]:
    """The columns of a small table as tensors `[rows]`."""
    return {name: tf.constant(_to_numpy(rows[name]), spec.dtype) for name, spec in _specs(rows.schema).items()}


class _Negatives:
    """Candidates that a row's user is taken to have refused: any but the row's own, with all their features."""

    def __init__(self, statistics: TrainingStatistics, settings: TrainSettings, count: int) -> None:
        candidates = statistics.candidates
        if candidates is None:
            raise AssertionError
        self._ids = candidates[settings.candidate_column].combine_chunks()
        self._key = settings.candidate_column
        self._columns = {name: _to_numpy(candidates[name]) for name in candidates.column_names}
        self._count = count

    def draw(self, table: pa.Table, random: np.random.Generator) -> Callable[[np.ndarray], Columns]:
        """Negatives for every row of a window: gives the candidate features of those at places of rows.

        A row's negatives follow one another.
        """
        own = pc.index_in(table[self._key], value_set=self._ids).to_numpy()
        drawn = draw_others(own, len(self._ids), self._count, random)

        def at(places: np.ndarray) -> Columns:
            chosen = drawn[places].reshape(-1)
            return {name: values[chosen] for name, values in self._columns.items()}

        return at


def _make_batch(columns: Columns, batch: Batch, negatives: Callable[[np.ndarray], Columns] | None) -> Columns:
    found = {name: values[batch.places] for name, values in columns.items()}
    if batch.lists is not None:
        found[LIST] = batch.lists
    if negatives is None:
        return found
    rows = len(batch.places)
    others = negatives(batch.places)
    repeats = len(next(iter(others.values()))) // rows
    joined = {
        name: np.concatenate([values, others[name] if name in others else np.repeat(values, repeats)])
        for name, values in found.items()
    }
    observed = np.zeros(rows * (1 + repeats), np.float32)
    observed[:rows] = 1
    return {**joined, OBSERVED: observed}


def _specs(schema: pa.Schema) -> dict[str, tf.TensorSpec]:
    return {field.name: tf.TensorSpec([None], to_dtype(field.type), field.name) for field in schema}


def to_dtype(kind: pa.DataType) -> tf.DType:
    """The TensorFlow type of a column: string, int64 or float32."""
    return tf.string if pa.types.is_large_string(kind) else tf.as_dtype(kind.to_pandas_dtype())


def _to_numpy(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Numbers as they are, text as an object array of UTF-8 bytes, of which equal ones are one object."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not pa.types.is_large_string(column.type):
        numbers: np.ndarray = whole.to_numpy(zero_copy_only=False)
        return numbers
    coded = whole.dictionary_encode()
    texts = np.empty(len(coded.dictionary), object)
    texts[:] = coded.dictionary.cast(pa.large_binary()).to_pylist()
    chosen: np.ndarray = texts[coded.indices.to_numpy()]
    return chosen
