"""The page of a training: whole without a network, and never worth a failure."""

from __future__ import annotations

import builtins
import html.parser
import math
import re

import pytest

from batchscore.evaluation.bootstrap import Measure
from batchscore.evaluation.comparison_table import ComparisonTable
from batchscore.evaluation.prediction_metrics import CalibrationBin
from batchscore.reports.training_page import TrainingPage, render_page, write_page

VOID = {"meta", "br"}


class Reader(html.parser.HTMLParser):
    """Texts and tags of a page; fails where tags are not closed in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style" and data.strip():
            self.texts.append(data.strip())


@pytest.fixture(scope="module")
def page() -> TrainingPage:
    table = ComparisonTable()
    table.add("model <1>", {"RMSE": Measure(0.8123, 0.8, 0.83), "NDCG@10": Measure(0.7, 0.6, 0.8)})
    table.add("popularity", {"NDCG@10": Measure(0.75, 0.7, 0.8), "coverage@10": Measure(0.2)})
    return TrainingPage(
        title="Model 42 & <others>",
        summary="published",
        facts=[("training rows", "80,669")],
        comparison=table,
        notes=["intervals are over users"],
        epochs=[
            {"epoch": 1, "training RMSE": 1.0, "validation RMSE": 1.1, "training loss": math.nan},
            {"epoch": 2, "training RMSE": 0.9, "validation RMSE": None, "training loss": 2.0},
        ],
        calibration=[CalibrationBin(10, 0.2, 0.25), CalibrationBin(10, 0.6, 0.5)],
        settings=[("layers", (256, 64))],
    )


def test_series_share_a_chart_where_only_their_part_differs():
    losses = {"training loss": 1.0, "training log loss": 0.7, "validation log loss": 0.6}
    assert render_page(TrainingPage("Losses", epochs=[{"epoch": 1, **losses}])).count("</svg>") == 2


@pytest.fixture(scope="module")
def text(page) -> str:
    return render_page(page)


@pytest.fixture(scope="module")
def read(text) -> Reader:
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    return reader


def test_everything_is_on_the_page(read):
    words = read.texts
    for word in ("Model 42 & <others>", "published", "80,669", "(256, 64)", "intervals are over users", "model <1>",
                 "0.8123", "±0.0150", "training RMSE", "validation RMSE", "mean prediction"):  # fmt: skip
        assert word in words, word
    assert read.tags.count("svg") == 3  # a chart for RMSE, one for loss, the calibration


def test_the_best_of_each_metric_is_bold(text):
    assert sorted(re.findall(r"<b>([\d.]+)</b>", text)) == ["0.2000", "0.7500", "0.8123"]


def test_nothing_is_fetched_and_nothing_runs(text, read):
    assert set(re.findall(r"https?://[\w./]+", text)) <= {
        "http://www.w3.org/1999/xlink",
        "http://www.w3.org/2000/svg",
    }
    assert not {"script", "link", "img", "iframe"} & set(read.tags)
    assert "@import" not in text
    assert "url(" not in re.sub(r"url\(#", "", text)


def test_the_same_page_has_the_same_bytes(page, text):
    assert render_page(page) == text


def test_parts_that_are_empty_are_left_out():
    text = render_page(TrainingPage("Nothing"))
    for heading in ("Compared", "Learning curves", "Calibration", "Settings"):
        assert heading not in text


def test_one_epoch_and_one_bin_can_be_drawn():
    page = TrainingPage("Small", epochs=[{"epoch": 1, "loss": 1.0}], calibration=[CalibrationBin(1, 1.0, 1.0)])
    assert render_page(page).count("</svg>") == 2
    assert "<svg" not in render_page(TrainingPage("NaN", epochs=[{"epoch": 1, "loss": math.nan}]))


def test_a_page_is_written_as_a_whole(page, text, tmp_path):
    (tmp_path / "report.html").write_text("last week's")
    assert write_page(page, tmp_path / "report.html") is None
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == text
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_without_the_extra_there_is_a_warning_and_no_page(page, tmp_path, monkeypatch, caplog):
    real = builtins.__import__

    def refuse(name, *rest):
        if name.split(".")[0] == "altair":
            raise ModuleNotFoundError("No module named 'altair'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    warning = write_page(page, tmp_path / "report.html")
    assert warning == (
        "no HTML report: packages are missing (No module named 'altair'): pip install 'batchscore[report]'"
    )
    assert caplog.messages == [warning]
    assert not list(tmp_path.iterdir())


def test_a_page_that_cannot_be_written_is_a_warning(page, tmp_path):
    warning = write_page(page, tmp_path / "none" / "report.html")
    assert warning.endswith("report.html could not be written: No such file or directory")
