"""A training as one HTML page that needs nothing else: no script, no network, charts as SVG inside it."""

from __future__ import annotations

import dataclasses
import html
import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batchscore.errors import reason_of
from batchscore.evaluation.bootstrap import Measure
from batchscore.evaluation.comparison_table import ComparisonTable, format_figure
from batchscore.evaluation.prediction_metrics import CalibrationBin
from batchscore.system.durable import write_whole

_log = logging.getLogger(__name__)
_INK, _GRID = "#1f2933", "#e4e7eb"
_COLOURS = ["#0b6e99", "#d9730d", "#6b7a89", "#448361", "#9065b0", "#c14c8a"]
_STYLE = f"""
body {{ font: 15px/1.5 system-ui, sans-serif; color: {_INK}; }}
body {{ max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.6rem; margin: 0 0 .25rem; }}
h2 {{ font-size: 1.1rem; margin: 2rem 0 .5rem; }}
p {{ color: #52606d; margin: .25rem 0 .75rem; }}
.charts {{ display: flex; flex-wrap: wrap; gap: 1rem; }}
.wide {{ overflow-x: auto; }}
.wide td {{ white-space: nowrap; line-height: 1.3; font-variant-numeric: tabular-nums; }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.5rem; margin: 0; }}
dt {{ color: #52606d; }}
dd {{ margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }}
svg {{ max-width: 100%; height: auto; }}
"""


@dataclass(frozen=True)
class TrainingPage:
    """What the page shows, in this order; a part that is empty is left out.

    `summary` is a sentence below the title. `epochs` has a mapping an epoch, with `epoch` (from 1) and figures by
    the name of their series; series whose names differ in the first word alone (`training log loss`, `validation
    log loss`) share a chart, and a missing or non-finite figure is a gap. `notes` explain the comparison.
    `facts` and `settings` are names with values.
    """

    title: str
    summary: str = ""
    facts: Sequence[tuple[str, object]] = ()
    comparison: ComparisonTable = field(default_factory=ComparisonTable)
    notes: Sequence[str] = ()
    epochs: Sequence[Mapping[str, float | None]] = ()
    calibration: Sequence[CalibrationBin] = ()
    settings: Sequence[tuple[str, object]] = ()

    def to_json(self) -> str:
        """The page for another process, with all values as the page spells them."""
        document = dataclasses.asdict(self) | {"comparison": self.comparison.to_dict()}
        for name in ("facts", "settings"):
            document[name] = [(label, str(value)) for label, value in document[name]]
        return json.dumps(document)

    @classmethod
    def from_json(cls, text: str | bytes) -> TrainingPage:
        """The page that `to_json` wrote."""
        document = json.loads(text)
        document["comparison"] = ComparisonTable.from_dict(document["comparison"])
        document["calibration"] = [CalibrationBin(**part) for part in document["calibration"]]
        return cls(**document)


def render_page(page: TrainingPage) -> str:
    """The page as HTML text. Raises ImportError without the extra `report`."""
    parts = [f"<h1>{html.escape(page.title)}</h1>"]
    if page.summary:
        parts.append(f"<p>{html.escape(page.summary)}</p>")
    parts += _facts("", page.facts)
    if page.comparison.rows:
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in page.notes)
        parts += ["<h2>Compared</h2>", f'<div class="wide">{_comparison(page.comparison)}</div>', notes]
    if page.epochs:
        charts = "".join(_curves(unit, names, page.epochs) for unit, names in _units(page.epochs).items())
        parts += ["<h2>Learning curves</h2>", f'<div class="charts">{charts}</div>']
    if page.calibration:
        parts += [
            "<h2>Calibration</h2>",
            "<p>Mean label of rows with similar predictions. On the line, predictions are right on average.</p>",
            _calibration(page.calibration),
        ]
    parts += _facts("Settings", page.settings)
    title = html.escape(page.title)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n'
        f"<body>\n{chr(10).join(parts)}\n</body></html>\n"
    )


def write_page(page: TrainingPage, path: Path, render: Callable[[TrainingPage], str] = render_page) -> str | None:
    """Write the page to `path`, as a whole or not at all; None if it was written, otherwise a warning, logged too.

    `render` gives its text.

    The page is never worth a failure: without the extra `report`, where it breaks, or where the file cannot be
    written, the warning says so.
    """
    try:
        text = render(page)
    except ImportError as error:
        warning = f"no HTML report: packages are missing ({error}): pip install 'batchscore[report]'"
    except Exception as error:  # noqa: BLE001 - the model is published by now, or something worse is to be told
        warning = f"no HTML report: {type(error).__name__}: {error}"
    else:
        try:
            write_whole(path, text)
        except OSError as error:
            warning = f"the HTML report {path} could not be written: {reason_of(error)}"
        else:
            return None
    _log.warning("%s", warning)
    return warning


def _facts(heading: str, facts: Sequence[tuple[str, object]]) -> list[str]:
    if not facts:
        return []
    items = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(str(value))}</dd>" for name, value in facts)
    return [f"<h2>{heading}</h2>" if heading else "", f"<dl>{items}</dl>"]


def _comparison(table: ComparisonTable) -> str:
    import great_tables as gt  # noqa: PLC0415 - an extra
    import polars as pl  # noqa: PLC0415 - loaded for a page alone

    cells: dict[str, list[str]] = {"": [row.name for row in table.rows]}
    for metric in table.columns:
        best = table.best(metric)
        cells[metric] = [
            _cell(row.measures.get(metric, Measure(None)), best=row.name == best) for row in table.rows
        ]
    shown = (
        gt.GT(pl.DataFrame(cells), id="compared")
        .fmt_passthrough(table.columns, escape=False)
        .cols_align("right", list(table.columns))
        .cols_align("left", [""])
        .tab_options(table_font_size="14px", table_margin_left="0")
    )
    return str(shown.as_raw_html())


def _cell(figure: Measure, *, best: bool) -> str:
    value, _, rest = format_figure(figure).partition(" ")
    if best:
        value = f"<b>{value}</b>"
    if figure.low is None or figure.high is None:
        return value
    interval = f"95 %: {figure.low:.4f} to {figure.high:.4f}"
    return f'{value}<br><small style="color:#7b8794" title="{interval}">{rest}</small>'


def _units(epochs: Sequence[Mapping[str, float | None]]) -> dict[str, list[str]]:
    """The series that share a chart: `training log loss` and `validation log loss`, by what follows the part."""
    units: dict[str, list[str]] = {}
    for name in dict.fromkeys(name for row in epochs for name in row if name != "epoch"):
        units.setdefault(name.partition(" ")[2], []).append(name)
    return units


def _curves(unit: str, names: list[str], epochs: Sequence[Mapping[str, float | None]]) -> str:
    import altair as alt  # noqa: PLC0415 - an extra

    points = [
        {"epoch": row["epoch"], "series": name, "value": value}
        for row in epochs
        for name in names
        if (value := row.get(name)) is not None and math.isfinite(value)
    ]
    if not points:
        return ""
    whole = [int(row["epoch"] or 0) for row in epochs]
    ticks = sorted({*whole[:: max(1, len(whole) // 8)], whole[-1]})
    chart = (
        alt.Chart(alt.InlineData(values=points), width=400, height=240)
        .mark_line(point={"size": 30}, strokeWidth=2)
        .encode(
            x=alt.X("epoch:Q", axis=alt.Axis(values=ticks, format="d", grid=False), scale=alt.Scale(nice=False)),
            y=alt.Y("value:Q", title=unit, scale=alt.Scale(zero=False)),
            color=alt.Color("series:N", sort=names, title=None, scale=alt.Scale(domain=names, range=_COLOURS)),
        )
    )
    return _svg(chart)


def _calibration(bins: Sequence[CalibrationBin]) -> str:
    import altair as alt  # noqa: PLC0415 - an extra

    values = [number for part in bins for number in (part.prediction, part.label)]
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or 0.5
    scale = alt.Scale(domain=[low - margin, high + margin], nice=False)
    line = (
        alt.Chart(alt.InlineData(values=[{"at": low - margin}, {"at": high + margin}]))
        .mark_line(color="#9aa5b1", strokeDash=[4, 4], strokeWidth=1)
        .encode(x=alt.X("at:Q", scale=scale), y=alt.Y("at:Q", scale=scale))
    )
    points = [{"prediction": part.prediction, "label": part.label, "rows": part.rows} for part in bins]
    dots = (
        alt.Chart(alt.InlineData(values=points))
        .mark_line(point={"size": 50}, color=_COLOURS[0])
        .encode(
            x=alt.X("prediction:Q", title="mean prediction", scale=scale),
            y=alt.Y("label:Q", title="mean label", scale=scale),
        )
    )
    return _svg((line + dots).properties(width=400, height=300))


def _svg(chart: Any) -> str:
    """The chart as an SVG element. No data is fetched: all of it stands in the chart."""
    import vl_convert  # noqa: PLC0415 - an extra

    chart = (
        chart.configure_axis(labelColor=_INK, titleColor=_INK, gridColor=_GRID, domainColor="#9aa5b1")
        .configure_view(stroke=None)
        .configure_legend(orient="bottom", labelColor=_INK)
    )
    return str(vl_convert.vegalite_to_svg(chart.to_dict(), allowed_base_urls=[]))
