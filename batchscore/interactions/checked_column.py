"""The columns that a training needs, and each one's way to its canonical type with all that is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from batchscore.errors import format_value
from batchscore.interactions.canonical import CanonicalCast, Use, cast_fill, find_canonical_cast
from batchscore.settings.recipe import Labels, Role
from batchscore.settings.train import TrainSettings

_USES: dict[str, Use] = {
    "vocabulary": "category", "hashed": "category", "number": "number", "buckets": "number",
    "timestamp": "moment", "text": "text", "list": "list",
}  # fmt: skip
_TOO_FEW_IDS = "a ranking needs at least two"
_NOTHING_TO_LEARN = "there is nothing to learn"


@dataclass(frozen=True)
class Column:
    """A column of the rows that a model is trained on. `role` is that of a feature, None for any other column.

    `must_vary` says why the column cannot have one value in every row; None if it can. `separator` stands
    between the values of a list.
    """

    name: str
    use: Use
    role: Role | None = None
    fill: str | float | None = None
    must_vary: str | None = None
    separator: str = "|"


def list_columns(settings: TrainSettings) -> list[Column]:
    """The columns of the prepared rows in their order: features, labels, and the moment if it is no feature."""
    ids = (settings.user_column, settings.candidate_column)
    columns = [
        Column(name, "id", feature.role, feature.fill, _TOO_FEW_IDS)
        if name in ids
        else Column(
            name,
            _USES[feature.kind],
            feature.role,
            feature.fill,
            separator=feature.separator if isinstance(feature, Labels) else "|",
        )
        for name, feature in settings.all_features().items()
    ]
    tasks = [task for task in settings.all_tasks().values() if task.has_label_column]
    clicks = {task.label for task in tasks if task.kind == "click"}
    labels = dict.fromkeys(task.label for task in tasks)
    columns += [
        Column(name, "click" if name in clicks else "label", must_vary=_NOTHING_TO_LEARN) for name in labels
    ]
    moment = settings.timestamp_column
    if moment is not None and moment not in settings.all_features():
        columns.append(Column(moment, "moment"))
    return columns


class CheckedColumn:
    """A column on its way to its canonical type, batch after batch; it remembers all that is wrong with it.

    `joined` says from where and by which column it is joined; None if it stands in the interactions.
    """

    def __init__(self, column: Column, type_: pa.DataType, *, is_typed: bool, joined: str | None = None) -> None:
        """Raises ValueError if the type or the fill is none for the column's use."""
        self.column = column
        self._cast: CanonicalCast = find_canonical_cast(
            column.use, type_, is_typed=is_typed, separator=column.separator
        )
        self._fill = None if column.fill is None else cast_fill(column.fill, self.target)
        self._joined = joined
        self._nulls = _Tally("null")
        self._bad = [_Tally(step.reason) for step in self._cast.steps]
        self._first: pa.Scalar | None = None
        self._varies = False

    @property
    def target(self) -> pa.DataType:
        """The canonical type."""
        return self._cast.target

    @property
    def is_good(self) -> bool:
        """Whether no row so far is bad."""
        bad = any(tally.rows for tally in self._bad)
        return not bad and (self._nulls.rows == 0 or self._fill is not None)

    def prepare(
        self, values: pa.Array, first_row: int, *, counted: pa.Array | None = None, keys: pa.Array | None = None
    ) -> pa.Array:
        """The values in their canonical type, nulls filled; what is wrong with a value leaves a null, or the fill.

        `first_row` is the number of the first value in the file. Where `counted` (bool) is false a null is no
        problem of this column. `keys` are the ids that the values were joined by.
        """
        if isinstance(values, pa.DictionaryArray):
            values = values.dictionary_decode()
        self._nulls.add(_counted(values.is_null(), counted), first_row, keys)
        for tally, step in zip(self._bad, self._cast.steps, strict=True):
            after = step.apply(values)
            if after.null_count > values.null_count:
                tally.add(pc.and_(after.is_null(), values.is_valid()), first_row, keys)
            values = after
        if self._fill is not None and values.null_count:
            values = values.fill_null(self._fill)
        if self.column.must_vary and not self._varies:
            self._compare(values)
        return values

    def problems(self, rows: int) -> list[str]:
        """All that is wrong, a line each, of a file of so many rows."""
        name = self.column.name
        if rows and self._nulls.rows == rows:
            return [f"{name}: null in every row{self._origin(None)}"]
        wrong = [tally for tally in self._bad if tally.rows]
        if self._fill is None and self._nulls.rows:
            wrong.insert(0, self._nulls)
        if not wrong and self._first is not None and not self._varies:
            return [f"{name}: {_format(self._first)} in every row; {self.column.must_vary}"]
        return [f"{name}: {tally.describe(rows)}{self._origin(tally.first_key)}" for tally in wrong]

    def count_filled(self) -> int:
        """Nulls that the fill stands for."""
        return self._nulls.rows if self._fill is not None else 0

    def _compare(self, values: pa.Array) -> None:
        values = values.drop_null()
        if len(values):
            self._first = values[0] if self._first is None else self._first
            self._varies = bool(pc.any(pc.not_equal(values, self._first)).as_py())

    def _origin(self, key: Any) -> str:
        if self._joined is None:
            return ""
        return f", {self._joined}" if key is None else f", {self._joined} {format_value(key)}"


class _Tally:
    """Rows with one thing wrong: how many, and the first of them."""

    def __init__(self, what: str) -> None:
        self.rows = 0
        self.first_key: Any = None
        self._what = what
        self._first_row = 0

    def add(self, mask: pa.Array, first_row: int, keys: pa.Array | None) -> None:
        count = pc.sum(mask).as_py() or 0
        if count and not self.rows:
            index = mask.index(pa.scalar(value=True)).as_py()
            self._first_row = first_row + index
            self.first_key = keys[index].as_py() if keys is not None else None
        self.rows += count

    def describe(self, rows: int) -> str:
        return f"{self._what} in {self.rows:,} of {rows:,} rows, the first is row {self._first_row:,} (from 0)"


def _counted(mask: pa.Array, counted: pa.Array | None) -> pa.Array:
    return mask if counted is None else pc.and_(mask, counted)


def _format(value: pa.Scalar) -> str:
    plain = value.as_py()
    return f"{plain:g}" if isinstance(plain, float) else format_value(plain)
