"""batchscore: the nightly ranking job for TensorFlow Recommenders.

The Python API has the names of the command line: `batchscore.run(input=..., output=..., top_n=20)` is
`batchscore run --input ... --output ... --top-n 20`. It returns the report; failures raise
`batchscore.errors.BatchscoreError` with `.exit_code`, `.error_id` and `.report`. A setting that is left out, or
None, has the value of the `config` file, otherwise the default that `batchscore run --help` tells. Nothing heavy is
imported and no environment variable is changed before a function is called.
"""

from __future__ import annotations

import datetime as dt
import importlib
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from batchscore import errors, networks
    from batchscore.adoption.adoption_report import AdoptionReport
    from batchscore.evaluation.evaluate import Evaluation
    from batchscore.golden_cases.golden_report import GoldenReport
    from batchscore.inspection.inspection import Inspection
    from batchscore.outputs.difference import Difference
    from batchscore.run_report import Report
    from batchscore.settings.base import Settings
    from batchscore.training.training_report import TrainingReport

__all__ = [
    "__version__",
    "adopt",
    "diff",
    "errors",
    "evaluate",
    "golden",
    "inspect",
    "networks",
    "rollback",
    "run",
    "train",
]
__version__ = "0.1.0"

_Path = str | os.PathLike[str]
_Limit = str | int
_Names = Sequence[str] | Mapping[str, str]
_Values = Sequence[str] | Mapping[str, Any]
_SettingsT = TypeVar("_SettingsT", bound="Settings")

_MODULES = ("errors", "networks")
"""Modules that `import batchscore` makes attributes of; each is loaded when it is first asked for."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'batchscore' has no attribute {name!r}")
    return importlib.import_module(f"batchscore.{name}")


def run(
    *,
    input: _Path | None = None,
    require_success: Literal["auto", "yes", "no"] | None = None,
    output: _Path | None = None,
    job: str | None = None,
    model: _Path | None = None,
    model_version: int | None = None,
    signature: str | None = None,
    score_output: str | None = None,
    top_n: int | None = None,
    min_score: float | None = None,
    user_column: str | None = None,
    candidate_column: str | None = None,
    keep: _Names | None = None,
    keep_output: _Names | None = None,
    map: _Values | None = None,
    set: _Values | None = None,
    fill: _Values | None = None,
    allow_nonfinite: Sequence[str] | None = None,
    max_bad_rows: _Limit | None = None,
    max_unknown_users: _Limit | None = None,
    max_unknown_candidates: _Limit | None = None,
    max_user_drop: _Limit | None = None,
    max_pair_drop: _Limit | None = None,
    max_candidate_drop: _Limit | None = None,
    max_user_turnover: _Limit | None = None,
    max_short_list_rise: _Limit | None = None,
    max_duplicate_rise: _Limit | None = None,
    max_score_shift: float | str | None = None,
    max_spread_change: float | str | None = None,
    min_users: int | None = None,
    min_pairs: int | None = None,
    max_input_age: str | None = None,
    max_model_age: str | None = None,
    max_identical_lists: _Limit | None = None,
    allow_equal_scores: bool | None = None,
    plan: Literal["auto", "require", "off"] | None = None,
    plan_cache: _Path | None = None,
    memory: _Limit | None = None,
    threads: int | None = None,
    keep_previous: int | None = None,
    state_dir: _Path | None = None,
    trust_model: bool | None = None,
    config: _Path | None = None,
    date: dt.date | str | None = None,
) -> Report:
    """Score every pair of `input` and publish each user's top N to `output`.

    Takes the settings of `batchscore.settings.run.RunSettings`, and `config` (a TOML file) and `date` as the
    command does. Returns the report; raises BatchscoreError, or UsageError for settings.
    """
    told = dict(locals())
    from batchscore.scoring.run import run as run_job
    from batchscore.settings.run import RunSettings

    return run_job(_resolve(RunSettings, "run", told))


def adopt(
    *,
    saved_model: _Path | None = None,
    output: _Path | None = None,
    model_version: int | None = None,
    signature: str | None = None,
    score_output: str | None = None,
    user_input: str | None = None,
    candidate_input: str | None = None,
    map: _Values | None = None,
    set: _Values | None = None,
    fill: _Values | None = None,
    probes: _Path | None = None,
    max_identical_lists: _Limit | None = None,
    allow_equal_scores: bool | None = None,
    trust_model: bool | None = None,
    config: _Path | None = None,
    date: dt.date | str | None = None,
) -> AdoptionReport:
    """Publish `saved_model`, a SavedModel of any origin, as the next version below `output`, with a model card.

    Takes the settings of `batchscore.settings.adopt.AdoptSettings`, and `config` and `date`. Returns the report;
    raises BatchscoreError.
    """
    told = dict(locals())
    from batchscore.adoption.adopt import adopt as adopt_model
    from batchscore.settings.adopt import AdoptSettings

    return adopt_model(_resolve(AdoptSettings, "adopt", told))


def inspect(
    model: _Path,
    *,
    model_version: int | None = None,
    signature: str | None = None,
    score_output: str | None = None,
    plan_cache: _Path | None = None,
) -> Inspection:
    """Look at a SavedModel, or at a version below a base directory, without loading it.

    Raises ModelError if there is nothing to look at.
    """
    told = dict(locals())
    from batchscore.inspection.inspection import inspect_model
    from batchscore.settings.inspect import InspectSettings

    given = _resolve(InspectSettings, "inspect", told)
    return inspect_model(
        given.model, given.model_version, given.signature, given.score_output, plan_cache=given.plan_cache
    )


def diff(
    *,
    old: _Path,
    new: _Path,
    max_users_lost: _Limit | None = None,
    max_users_gained: _Limit | None = None,
    max_changed_users: _Limit | None = None,
    max_changed_first: _Limit | None = None,
    min_overlap: _Limit | None = None,
    max_score_shift: float | Literal["tolerance", "off"] | None = None,
    user_column: str | None = None,
    candidate_column: str | None = None,
    rank_column: str | None = None,
    score_column: str | None = None,
) -> Difference:
    """Compare the output `new` with the output `old`.

    Takes the settings of `batchscore.settings.lists.DiffSettings`. The difference tells which limits are kept; its
    `require_within_limits()` raises RefusedError as the command does. Raises InputError for files that are no
    outputs.
    """
    told = dict(locals())
    from batchscore.outputs.diff import diff as compare
    from batchscore.settings.lists import DiffSettings

    return compare(_resolve(DiffSettings, "diff", told))


def evaluate(
    *,
    ranked: _Path | None = None,
    truth: _Path | None = None,
    training: _Path | None = None,
    user_column: str | None = None,
    candidate_column: str | None = None,
    rank_column: str | None = None,
    score_column: str | None = None,
    truth_user_column: str | None = None,
    truth_candidate_column: str | None = None,
    label_column: str | None = None,
    relevant: float | None = None,
    k: Sequence[int] | int | None = None,
    gain: Literal["linear", "exponential", "binary"] | None = None,
    scores: Literal["probabilities", "logits"] | None = None,
    bootstrap: int | None = None,
    seed: int | None = None,
    config: _Path | None = None,
    date: dt.date | str | None = None,
) -> Evaluation:
    """Measure the lists of the ranked file `ranked` against the pairs of `truth`.

    Takes the settings of `batchscore.settings.lists.EvaluateSettings`, and `config` and `date`. Raises InputError
    for files that cannot be compared.
    """
    told = dict(locals())
    from batchscore.evaluation.evaluate import evaluate as evaluate_lists
    from batchscore.settings.lists import EvaluateSettings

    return evaluate_lists(_resolve(EvaluateSettings, "evaluate", told))


def golden(directory: _Path, model: _Path | None = None, *, update: bool | None = None) -> GoldenReport:
    """Run the golden cases at and below `directory`, with `model` or each with its own, and compare.

    `update` makes cases that differ expect what their runs do. Returns the results; raises RefusedError
    (E-GOLDEN-DIFFERS, the results are its `.report`) where a case differs, UsageError (E-GOLDEN) if there is no
    case or one is not valid.
    """
    told = dict(locals())
    from batchscore.golden_cases.runner import check_cases
    from batchscore.settings.golden import GoldenSettings

    given = _resolve(GoldenSettings, "golden", told)
    report = check_cases(given.directory, given.model, update=given.update)
    report.require_as_expected()
    return report


def rollback(
    output: _Path,
    *,
    state_dir: _Path | None = None,
    job: str | None = None,
    date: dt.date | str | None = None,
) -> Report | None:
    """Publish the output before the published one at `output` again; returns its report, None if it has none.

    `output` may have `{date}` in it, which stands for `date`, today in UTC by default. Raises BatchscoreError:
    E-NO-PREVIOUS if no other output is kept.
    """
    told = dict(locals())
    from batchscore.publishing.rollback import rollback as roll_back
    from batchscore.settings.rollback import RollbackSettings

    given = _resolve(RollbackSettings, "rollback", told)
    return roll_back(given.output.written, given.state_dir, date=given.date, job=given.job)


def train(
    *,
    input: _Path | None = None,
    output: _Path | None = None,
    users: _Path | None = None,
    candidates: _Path | None = None,
    user_column: str | None = None,
    candidate_column: str | None = None,
    rating_column: str | None = None,
    timestamp_column: str | None = None,
    embedding_dimension: int | None = None,
    layers: Sequence[int] | None = None,
    learning_rate: float | None = None,
    batch_rows: int | None = None,
    shuffle_rows: int | None = None,
    epochs: int | None = None,
    split: Literal["time", "random", "last"] | None = None,
    held_out: float | None = None,
    last: int | None = None,
    validation: float | None = None,
    patience: int | None = None,
    refit: bool | None = None,
    max_regression: _Limit | None = None,
    keep_versions: int | None = None,
    tensorboard: _Path | None = None,
    set: _Values | None = None,
    seed: int | None = None,
    features: Mapping[str, Mapping[str, Any]] | None = None,
    model: Mapping[str, Any] | None = None,
    tasks: Mapping[str, Mapping[str, Any]] | None = None,
    config: _Path | None = None,
    date: dt.date | str | None = None,
) -> TrainingReport:
    """Train a ranking model on `input` and publish it as the next version below `output`.

    Takes the settings of `batchscore.settings.train.TrainSettings`, and `config` and `date`; `features`, `model`
    and `tasks` are dicts as the tables of TOML are. Sets TF_USE_LEGACY_KERAS for this process, or raises UsageError
    (E-KERAS-3) where Keras 3 is loaded already. Returns the report; raises BatchscoreError, with the report as far
    as it got.
    """
    told = dict(locals())
    from batchscore.settings.train import TrainSettings
    from batchscore.training.train import train as train_job

    return train_job(_resolve(TrainSettings, "train", told))


def _resolve(kind: type[_SettingsT], table: str, told: dict[str, Any]) -> _SettingsT:
    from batchscore.settings.resolve import resolve

    config, date = told.pop("config", None), told.pop("date", None)
    return resolve(kind, table, told, config=config, date=date).settings
