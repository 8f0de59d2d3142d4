"""What the layers of a model must know of its training rows: vocabularies, means, boundaries.

Only training rows come here, so that nothing of the held-out rows gets into the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchscore.arrays.joined_lists import find_other_separator
from batchscore.errors import InputError
from batchscore.interactions.negatives import drawing_task
from batchscore.interactions.table_rows import TableRows
from batchscore.settings.recipe import Buckets, Click, Feature, Labels, Number, Text, Timestamp, Vocabulary
from batchscore.settings.train import TrainSettings

SAMPLE_ROWS = 1_000_000
"""Rows that quantiles are taken from, drawn with the seed; all rows if there are no more."""

_CHUNK_ROWS = 65_536
_PUNCTUATION = r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]"""


@dataclass(frozen=True)
class Values:
    """The distinct values that have an embedding of their own: large_string or int64, in the order of their rows.

    Ids, categories and labels ascend; words come by frequency, then ascending.
    """

    values: pa.Array


@dataclass(frozen=True)
class Scaling:
    """How numbers are scaled: less their mean, by their standard deviation, which is 1 for equal numbers."""

    mean: float
    deviation: float


@dataclass(frozen=True)
class Boundaries:
    """Ascending numbers that each begin a new interval."""

    boundaries: tuple[float, ...]


@dataclass(frozen=True)
class Span:
    """The first and last moment, in epoch seconds, and the scaling of all.

    Where intervals have a length, `intervals` are those with an embedding of their own, ascending int64: a moment
    divided by that length, rounded down.
    """

    first: int
    last: int
    scaling: Scaling
    intervals: pa.Array | None = None


FeatureStatistics = Values | Scaling | Boundaries | Span | None
"""What a feature's layer must know; None for a hash, or a number that is taken as it is."""


@dataclass(frozen=True)
class TrainingStatistics:
    """What is known of the training rows. `features` and `schema` have every feature, in the model's order.

    `label_means` has the mean of each label column. `candidates` has one row, its last, for every candidate, by
    ascending id, with all candidate features, if a task draws negatives; otherwise it is None.
    """

    rows: int
    schema: pa.Schema
    features: Mapping[str, FeatureStatistics]
    label_means: Mapping[str, float]
    candidates: pa.Table | None


def learn_statistics(rows: pa.Table, settings: TrainSettings) -> TrainingStatistics:
    """The statistics of the training `rows`, which have the canonical types and no nulls.

    `rows` may be larger than memory: it is walked a few times, and only what is distinct is kept. Raises InputError
    (E-INTERACTIONS) with every feature that has no value to learn, or if a task draws more negatives than there
    are other candidates.
    """
    features: dict[str, FeatureStatistics] = {}
    problems: list[str] = []
    for name, feature in settings.all_features().items():
        found = _learn(rows, name, feature, settings.seed)
        if isinstance(found, Values) and not len(found.values):
            problems.append(f"{name}: {_explain_empty(feature)}")
        if isinstance(feature, Labels) and (other := find_other_separator(_chunks(rows[name]), feature.separator)):
            problems.append(
                f"{name}: no text holds the separator {feature.separator!r}, and most hold {other!r}: each would "
                f"be a list of one; set separator = {other!r}"
            )
        features[name] = found
    tasks = settings.all_tasks().values()
    drawing = drawing_task(settings)
    candidates = None
    if drawing is not None:
        candidates = _last_rows(rows, settings)
        _require_enough(candidates.num_rows - 1, drawing, settings)
    if problems:
        raise InputError(
            "E-INTERACTIONS",
            "the training rows do not give the model enough to learn",
            where=settings.input,
            details=problems,
            next_step="change the feature, lower its min_count, or give more interactions",
        )
    labels = {task.label for task in tasks if task.has_label_column}
    return TrainingStatistics(
        rows=rows.num_rows,
        schema=pa.schema([rows.schema.field(name) for name in features]),
        features=features,
        label_means={name: float(pc.mean(rows[name]).as_py()) for name in sorted(labels)},
        candidates=candidates,
    )


def count_words(texts: pa.ChunkedArray) -> pa.Table:
    """The distinct words of `texts`, `values`, with the number of times that they occur, `counts`.

    Words are what Keras's TextVectorization makes of a text: ASCII letters in lower case, ASCII punctuation
    removed, cut at ASCII white space.
    """

    def words(chunk: pa.Array) -> pa.Array:
        plain = pc.replace_substring_regex(pc.ascii_lower(chunk), _PUNCTUATION, "")
        return pc.list_flatten(pc.split_pattern_regex(plain, r"[\t-\r ]+"))

    return _count_parts(words(chunk) for chunk in _chunks(texts))


def _learn(rows: pa.Table, name: str, feature: Feature, seed: int) -> FeatureStatistics:  # noqa: PLR0911 - one a kind
    column = rows[name]
    match feature:
        case Vocabulary():
            return Values(_ascending(_count(rows, name), feature.min_count))
        case Labels():
            parts = (pc.list_flatten(pc.split_pattern(chunk, feature.separator)) for chunk in _chunks(column))
            return Values(_ascending(_count_parts(parts), feature.min_count))
        case Text():
            counts = count_words(column).sort_by([("counts", "descending"), ("values", "ascending")])
            return Values(_one_chunk(counts["values"][: feature.max_tokens]))
        case Number(normalise=True):
            return _scaling(column)
        case Buckets():
            return Boundaries(feature.boundaries or _quantiles(rows, name, feature.count or 0, seed))
        case Timestamp():
            ends = pc.min_max(column).as_py()
            return Span(ends["min"], ends["max"], _scaling(column), _intervals(column, feature))
        case _:
            return None


def _intervals(column: pa.ChunkedArray, feature: Timestamp) -> pa.Array | None:
    if (seconds := feature.bucket_seconds) is None:
        return None
    parts = (pa.array(chunk.to_numpy() // seconds) for chunk in _chunks(column))
    return _ascending(_count_parts(parts), feature.min_count)


def _explain_empty(feature: Feature) -> str:
    count = feature.min_count if isinstance(feature, Vocabulary | Labels) else 1
    what = "word" if isinstance(feature, Text) else "value"
    return f"no {what} in it" if count == 1 else f"no {what} in it occurs in {count} training rows (min_count)"


def _chunks(column: pa.ChunkedArray) -> Iterator[pa.Array]:
    for chunk in column.chunks:
        for begin in range(0, len(chunk), _CHUNK_ROWS):
            yield chunk.slice(begin, _CHUNK_ROWS)


def _count(rows: pa.Table, name: str) -> pa.Table:
    table = pa.table({"values": rows[name]})
    return table.group_by("values").aggregate([([], "count_all")]).rename_columns(["values", "counts"])


def _count_parts(parts: Iterator[pa.Array]) -> pa.Table:
    """Counts of the values of all parts; an empty text is no value."""
    total: list[pa.Table] = []
    for part in parts:
        counted = pc.value_counts(
            part.filter(pc.not_equal(part, "")) if pa.types.is_large_string(part.type) else part
        )
        total.append(pa.table({"values": counted.field("values"), "counts": counted.field("counts")}))
        if sum(map(len, total[1:])) > len(total[0]):
            total = [_sum_counts(total)]
    return _sum_counts(total)


def _sum_counts(counts: list[pa.Table]) -> pa.Table:
    if not counts:
        return pa.table({"values": pa.array([], pa.large_string()), "counts": pa.array([], pa.int64())})
    grouped = pa.concat_tables(counts).group_by("values").aggregate([("counts", "sum")])
    return grouped.rename_columns(["values", "counts"])


def _ascending(counts: pa.Table, min_count: int) -> pa.Array:
    kept = _one_chunk(counts.filter(pc.greater_equal(counts["counts"], min_count))["values"])
    return kept.take(pc.sort_indices(kept))


def _scaling(column: pa.ChunkedArray) -> Scaling:
    mean, deviation = pc.mean(column).as_py(), pc.stddev(column).as_py()
    return Scaling(float(mean), float(deviation) or 1.0)


def _quantiles(rows: pa.Table, name: str, count: int, seed: int) -> tuple[float, ...]:
    """The distinct boundaries of `count` intervals that have about as many rows each."""
    column = rows.select([name])
    if len(column) > SAMPLE_ROWS:
        drawn = np.random.default_rng(seed).choice(len(column), SAMPLE_ROWS, replace=False, shuffle=False)
        column = TableRows(column).take(np.sort(drawn))
    numbers = column[name].to_numpy()
    return tuple(np.unique(np.quantile(numbers, np.arange(1, count) / count).astype(np.float32)).tolist())


def _last_rows(rows: pa.Table, settings: TrainSettings) -> pa.Table:
    key = settings.candidate_column
    names = [name for name, feature in settings.all_features().items() if feature.role == "candidate"]
    others = [name for name in names if name != key]
    grouped = rows.select(names).group_by(key, use_threads=False).aggregate([(name, "last") for name in others])
    return grouped.rename_columns([key, *others]).select(names).sort_by(key)


def _require_enough(others: int, task: Click, settings: TrainSettings) -> None:
    """Raise InputError if `task` draws more negatives a row than there are `others`, not the row's own."""
    if task.negatives > others:
        negatives = "1 negative" if task.negatives == 1 else f"{task.negatives:,} negatives"
        raise InputError(
            "E-INTERACTIONS",
            f"the click task of {task.label} draws more negatives than there are other candidates",
            where=settings.input,
            found=f"{negatives} per row, {others:,} other candidates in the training rows",
            expected="a few negatives of many candidates",
            next_step=f"lower negatives to {others:,} at most" if others else "give rows of more candidates",
        )


def _one_chunk(column: Any) -> pa.Array:
    whole = column.combine_chunks()
    return whole.combine_chunks() if isinstance(whole, pa.ChunkedArray) else whole
