"""Models side by side: a row each, a column for each metric, every figure with its interval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from batchscore.evaluation.bootstrap import Measure

LOWER_IS_BETTER = frozenset({"RMSE", "MAE", "log loss"})
"""Metrics that are errors. Of the others more is better, but for popularity bias, which is best near 0."""

_NO_FIGURE = "-"
_WIDTH = 110


@dataclass(frozen=True)
class ComparisonRow:
    """One model or baseline; `measures` by the names of the table's columns, those that it has."""

    name: str
    measures: dict[str, Measure]


@dataclass(frozen=True)
class ComparisonTable:
    """Rows in the order in which they are shown; `columns` are all metrics, in order."""

    rows: list[ComparisonRow] = field(default_factory=list)

    @property
    def columns(self) -> list[str]:
        """The metrics that any row has, in the order of their first appearance."""
        return list(dict.fromkeys(name for row in self.rows for name in row.measures))

    def add(self, name: str, *measures: Mapping[str, Measure]) -> None:
        """Add a row, or more metrics to the row of this name."""
        merged = {metric: figure for part in measures for metric, figure in part.items()}
        for row in self.rows:
            if row.name == name:
                row.measures.update(merged)
                return
        self.rows.append(ComparisonRow(name, merged))

    def measure(self, name: str, metric: str) -> Measure:
        """The figure of a row; undefined (`value` None) if there is no such row or metric."""
        found = (row.measures.get(metric) for row in self.rows if row.name == name)
        return next(found, None) or Measure(None)

    def best(self, metric: str) -> str | None:
        """The row with the best value of a metric, the first of equals; None if no row has one."""
        values = [(row.name, figure.value) for row in self.rows
                  if (figure := row.measures.get(metric)) and figure.value is not None]  # fmt: skip
        if not values or metric.startswith("popularity bias"):
            return None
        pick = min if metric in LOWER_IS_BETTER else max
        return pick(values, key=lambda item: item[1])[0]

    def to_dict(self) -> dict[str, Any]:
        """`{row: {metric: {"value": x, "low": x, "high": x}}}`, ready for JSON."""
        return {row.name: {name: dict(vars(figure)) for name, figure in row.measures.items()} for row in self.rows}

    @classmethod
    def from_dict(cls, document: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> ComparisonTable:
        """The table that `to_dict` wrote."""
        return cls([
            ComparisonRow(name, {metric: Measure(**figure) for metric, figure in measures.items()})
            for name, measures in document.items()
        ])  # fmt: skip

    def to_text(self, width: int = _WIDTH) -> str:
        """The table for a terminal of `width` columns, in several blocks where it is wider than that."""
        return "\n\n".join("\n".join(block) for block in self._blocks(width))

    def _blocks(self, width: int) -> Iterator[list[str]]:
        names = [row.name for row in self.rows]
        first = max(map(len, ["", *names])) + 2
        block, taken = [""] * (len(names) + 1), width + 1
        started = False
        for metric in self.columns:
            cells = [format_figure(row.measures.get(metric, Measure(None))) for row in self.rows]
            cells = [metric, *cells]
            size = max(map(len, cells)) + 2
            if taken + size > width:
                if started:
                    yield block
                block, taken, started = [f"{name:<{first}}" for name in ["", *names]], first, True
            block = [line + f"{cell:>{size}}" for line, cell in zip(block, cells, strict=True)]
            taken += size
        if started:
            yield block


def format_figure(figure: Measure) -> str:
    """`0.8123 ±0.0101`: the value, and half the width of its interval."""
    if figure.value is None:
        return _NO_FIGURE
    if figure.low is None or figure.high is None:
        return f"{figure.value:.4f}"
    return f"{figure.value:.4f} ±{(figure.high - figure.low) / 2:.4f}"
