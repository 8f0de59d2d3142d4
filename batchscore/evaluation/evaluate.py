"""READ FIRST: `batchscore evaluate` from top to bottom: ranked lists against what users really did."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field

from batchscore.errors import EXIT_OK, InputError
from batchscore.evaluation.baselines import Biases, count_popularity, fit_biases, look_up, popularity_percentiles
from batchscore.evaluation.bootstrap import Measure
from batchscore.evaluation.coded_files import CodedRows, Ids, read_coded
from batchscore.evaluation.coded_lists import Lists, read_lists
from batchscore.evaluation.comparison_table import ComparisonTable
from batchscore.evaluation.list_totals import ListTotals
from batchscore.evaluation.prediction_metrics import (
    CalibrationBin,
    calibrate,
    is_binary,
    measure_clicks,
    measure_ratings,
    to_probabilities,
)
from batchscore.evaluation.ranking_metrics import measure_best_lists
from batchscore.evaluation.truth import Truth, least_label, make_truth
from batchscore.observer import Observer
from batchscore.outputs.list_reader import ListReader
from batchscore.outputs.open_lists import open_lists
from batchscore.settings.lists import EvaluateSettings
from batchscore.system.json_document import JsonDocument

_log = logging.getLogger(__name__)
_UNOBSERVED = Observer()
MODEL, MEAN, BIASES, POPULARITY = "model", "mean", "biases", "popularity"


class EvaluatedFile(JsonDocument):
    """The ranked lists."""

    path: str
    """Where it lies."""
    rows: int
    """Its rows."""
    users: int
    """Its users."""
    is_output: bool
    """Whether it is an output of a run, and not another table of lists."""
    columns: dict[str, str | None]
    """The columns that `user`, `candidate`, `rank` and `score` were read from; null: there is none."""


class TruthFile(JsonDocument):
    """What users really did; which pairs are relevant the settings say."""

    path: str
    """Where it lies."""
    pairs: int
    """Its distinct pairs."""
    duplicates: int
    """Rows that repeat a pair."""
    users: int
    """Its users."""
    relevant_pairs: int
    """Pairs that a good list should hold."""
    relevant_users: int
    """Users with such a pair."""


class Evaluation(JsonDocument):
    """How good the lists of a ranked file are. Metrics of lists are means over `truth.relevant_users`."""

    schema_version: Literal[1] = 1
    """The version of this form."""
    command: Literal["evaluate"] = "evaluate"
    """The command."""
    exit_code: int = EXIT_OK
    """0."""
    ranked: EvaluatedFile
    """The lists."""
    truth: TruthFile
    """What users did."""
    training: str | None
    """The training rows; null if none were given."""
    settings: dict[str, Any]
    """Every setting with its value."""
    users_without_list: int
    """Users with a relevant pair and without a list: they count as 0, but not in popularity bias."""
    catalogue: int
    """Distinct candidates of lists, truth and training rows."""
    matched_pairs: int
    """Listed pairs that stand in the truth."""
    predicted_pairs: int
    """Those of them with a label, on which predictions are measured."""
    scores_are: Literal["ratings", "probabilities", "logits"] | None
    """As what scores were read; null: there are no labels."""
    table: dict[str, dict[str, dict[str, float | None]]]
    """Row (model or baseline) to metric to `value`, `low`, `high`: a mean and its 95 % interval over users."""
    calibration: list[CalibrationBin] = Field(default_factory=list)
    """Predictions against labels, in groups of neighbouring predictions."""

    def to_table(self) -> ComparisonTable:
        """The figures as a table."""
        return ComparisonTable.from_dict(self.table)


def evaluate(settings: EvaluateSettings, observer: Observer = _UNOBSERVED) -> Evaluation:
    """Measure the lists of `settings.ranked` against the pairs of `settings.truth`.

    Lists are measured by the ranks that stand in the file; nothing is sorted by score. With `settings.training`
    the same lists in the order of popularity and of the candidates' biases stand beside them: what the order
    alone is worth. Files are read once; memory holds the truth, the training rows and a block of lists as codes.

    Raises InputError: E-RANKED-FILE, E-TRUTH, E-TRUTH-COLUMNS, E-TRUTH-USERS.
    """
    (ranked,) = open_lists(settings.list_columns, settings.ranked)
    ids = Ids.of(ranked, settings.truth_user_column, settings.truth_candidate_column)
    observer.stage("read the truth")
    truth = _read_truth(settings, ids)
    observer.stage("read the training rows")
    training = _read_training(settings, ids)
    observer.stage("evaluate", ranked.rows)
    methods = _Methods(truth, settings, training)
    users = 0
    for lists in read_lists(ranked, ids):
        methods.add(lists)
        users += lists.count
        observer.advance(len(lists.users))
    has_list = methods.model.has_list
    _require_common_users(ranked, settings, truth, has_list)
    predicted, calibration, scores_are = _measure_predictions(settings, truth, methods, training)
    table = ComparisonTable()
    for name, totals in methods.totals.items():
        lists_measured = totals.measure(len(ids.candidates), replicates=settings.bootstrap, seed=settings.seed)
        table.add(name, predicted.get(name, {}), lists_measured)
        if name == MODEL and MEAN in predicted:
            table.add(MEAN, predicted[MEAN])
    matched = len(methods.model.matched()[0])
    _tell_of_no_match(matched, ranked)
    return Evaluation(
        ranked=EvaluatedFile(
            path=str(settings.ranked),
            rows=ranked.rows,
            users=users,
            is_output=ranked.is_output,
            columns=asdict(ranked.columns),
        ),
        truth=_describe_truth(settings, truth),
        training=None if settings.training is None else str(settings.training),
        settings=settings.model_dump(mode="json", exclude={"ranked", "truth", "training"}),
        users_without_list=int((~has_list & (truth.relevant_counts > 0)).sum()),
        catalogue=len(ids.candidates),
        matched_pairs=matched,
        predicted_pairs=matched if settings.label_column and ranked.scored else 0,
        scores_are=scores_are,
        table=table.to_dict(),
        calibration=calibration,
    )


def _read_truth(settings: EvaluateSettings, ids: Ids) -> Truth:
    rows = read_coded(settings.truth, ids, settings.label_column)
    truth = make_truth(
        rows.users, rows.candidates, rows.labels,
        user_count=len(ids.users), relevant=least_label(settings.relevant, rows.label_type), gain=settings.gain,
    )  # fmt: skip
    _require_relevant(settings, truth)
    return truth


@dataclass(frozen=True)
class _Training:
    """What the training rows say: which candidates (codes) they have, how popular, and the biases of labels."""

    seen: np.ndarray
    counts: np.ndarray
    biases: Biases | None


def _read_training(settings: EvaluateSettings, ids: Ids) -> _Training | None:
    if settings.training is None:
        return None
    rows: CodedRows = read_coded(settings.training, ids, settings.label_column, label_required=False)
    biases = None if rows.labels is None else fit_biases(rows.users, rows.candidates, rows.labels)
    seen = np.bincount(rows.candidates) > 0
    return _Training(seen, count_popularity(rows.candidates, rows.labels), biases)


class _Methods:
    """The lists of the file, and the same lists ordered by each baseline."""

    def __init__(self, truth: Truth, settings: EvaluateSettings, training: _Training | None) -> None:
        percentiles = None
        self._values: dict[str, np.ndarray] = {}
        if training is not None:
            percentiles = np.zeros(len(training.seen))
            percentiles[training.seen] = popularity_percentiles(training.counts[training.seen])
            if training.biases is not None:
                self._values[BIASES] = training.biases.candidates
            self._values[POPULARITY] = training.counts
        best = measure_best_lists(truth, settings.k)
        self.totals = {name: ListTotals(truth, best, percentiles) for name in (MODEL, *self._values)}

    @property
    def model(self) -> ListTotals:
        """The lists as the file has them."""
        return self.totals[MODEL]

    def add(self, lists: Lists) -> None:
        """Take a block of lists."""
        self.model.add(lists.users, lists.candidates, lists.ranks, lists.scores)
        for name, values in self._values.items():
            ranks = lists.rank_by(look_up(values, lists.candidates))
            self.totals[name].add(lists.users, lists.candidates, ranks)


def _measure_predictions(
    settings: EvaluateSettings, truth: Truth, methods: _Methods, training: _Training | None
) -> tuple[
    dict[str, dict[str, Measure]], list[CalibrationBin], Literal["ratings", "probabilities", "logits"] | None
]:
    """Figures of scores against labels by the name of the method, the calibration, and what the scores are."""
    found, scores = methods.model.matched()
    if len(np.unique(found)) < len(found):
        raise InputError(
            "E-RANKED-FILE", "this is not an output of batchscore", where=settings.ranked,
            found="a candidate occurs more than once in the list of a user",
            expected="a candidate once in each list",
            next_step="give a file that `batchscore run` published",
        )  # fmt: skip
    if settings.label_column is None or not len(scores):
        return {}, [], None
    labels, users, candidates = truth.labels[found], truth.users[found], truth.candidates[found]
    predictions = {MODEL: scores.astype(np.float64)}
    if training is not None and training.biases is not None:
        predictions[BIASES] = training.biases.predict(users, candidates)
        predictions[MEAN] = np.full(len(found), training.biases.mean)
    scores_are: Literal["ratings", "probabilities", "logits"] = "ratings"
    measure: Callable[..., dict[str, Measure]] = measure_ratings
    if is_binary(truth.labels):
        measure = measure_clicks
        scores_are = settings.scores or ("probabilities" if _are_probabilities(scores) else "logits")
        if scores_are == "logits":
            predictions[MODEL] = to_probabilities(scores)
    measured = {
        name: measure(labels, predicted, users, replicates=settings.bootstrap, seed=settings.seed)
        for name, predicted in predictions.items()
    }
    return measured, calibrate(labels, predictions[MODEL]), scores_are


def _are_probabilities(scores: np.ndarray) -> bool:
    return bool(((scores >= 0) & (scores <= 1)).all())


def _describe_truth(settings: EvaluateSettings, truth: Truth) -> TruthFile:
    return TruthFile(
        path=str(settings.truth),
        pairs=len(truth.keys),
        duplicates=truth.duplicates,
        users=int(np.count_nonzero(np.bincount(truth.users))),
        relevant_pairs=int(truth.relevant.sum()),
        relevant_users=int(np.count_nonzero(truth.relevant_counts)),
    )


def _require_relevant(settings: EvaluateSettings, truth: Truth) -> None:
    if truth.relevant.any():
        return
    raise InputError(
        "E-TRUTH", "no row of the truth is relevant, so no list can be evaluated", where=settings.truth,
        found=f"labels up to {truth.labels.max():g}",
        expected="labels above 0" if settings.relevant is None else f"labels of at least {settings.relevant:g}",
        next_step="correct --label-column or --relevant",
    )  # fmt: skip


def _tell_of_no_match(matched: int, ranked: ListReader) -> None:
    if not matched:
        _log.warning(
            "none of the %s listed pairs is in the truth, so every list counts as 0: check that both files "
            "write candidate ids the same way and are of the same night",
            f"{ranked.rows:,}",
        )


def _require_common_users(
    ranked: ListReader, settings: EvaluateSettings, truth: Truth, has_list: np.ndarray
) -> None:
    if has_list.any():
        return
    raise InputError(
        "E-TRUTH-USERS", "ranked file and truth have no user in common", where=settings.truth,
        found=f"{ranked.rows:,} ranked rows, and none of a user of the truth ({truth.user_count:,} users)",
        expected=f"users of {settings.ranked}",
        next_step="check that both files write user ids the same way and are of the same night",
    )  # fmt: skip
