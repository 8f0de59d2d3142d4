"""batchscore: the nightly ranking job for TensorFlow Recommenders.

The Python API has the names of the command line: `batchscore.run(input=..., output=..., top_n=20)` is
`batchscore run --input ... --output ... --top-n 20`. It returns the report; failures raise
`batchscore.errors.BatchscoreError` with `.exit_code`, `.error_id` and `.report`. Nothing heavy is imported and no
environment variable is changed before a function is called.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchscore.adoption.report import AdoptionReport
    from batchscore.difference.diff import Difference
    from batchscore.evaluation.evaluate import Evaluation
    from batchscore.golden_cases.report import GoldenReport
    from batchscore.report import Report
    from batchscore.runtime.inspection import Inspection
    from batchscore.training.report import TrainingReport

__all__ = ["__version__", "adopt", "diff", "evaluate", "golden", "inspect", "rollback", "run", "train"]
__version__ = "0.1.0"


def run(**settings: Any) -> Report:
    """Score every pair of `input` and publish each user's top N to `output`.

    Takes the settings of `batchscore.config.RunSettings`, and `config` (a TOML file) and `date` as the command
    does. Returns the report; raises BatchscoreError, or UsageError for settings.
    """
    from batchscore.config import RunSettings, resolve
    from batchscore.scoring.run import run as run_job

    config, date = settings.pop("config", None), settings.pop("date", None)
    return run_job(resolve(RunSettings, "run", settings, config=config, date=date).settings)


def adopt(**settings: Any) -> AdoptionReport:
    """Publish `saved_model`, a SavedModel of any origin, as the next version below `output`, with a model card.

    Takes the settings of `batchscore.config.AdoptSettings`, and `config` and `date`. Returns the report; raises
    BatchscoreError.
    """
    from batchscore.adoption.adopt import adopt as adopt_model
    from batchscore.config import AdoptSettings, resolve

    config, date = settings.pop("config", None), settings.pop("date", None)
    return adopt_model(resolve(AdoptSettings, "adopt", settings, config=config, date=date).settings)


def inspect(
    model: str | os.PathLike[str],
    *,
    model_version: int | None = None,
    signature: str | None = None,
    score_output: str | None = None,
    plan_cache: str | os.PathLike[str] | None = None,
) -> Inspection:
    """Look at a SavedModel, or at a version below a base directory, without loading it.

    Raises ModelError where there is nothing to look at.
    """
    from pathlib import Path

    from batchscore.runtime.inspection import inspect_model

    cache = None if plan_cache is None else Path(plan_cache)
    return inspect_model(Path(model), model_version, signature, score_output, plan_cache=cache)


def diff(**settings: Any) -> Difference:
    """Compare the output `new` with the output `old`.

    Takes the settings of `batchscore.config.DiffSettings`. The difference tells which limits are kept; its
    `require_within_limits()` raises RefusedError as the command does. Raises InputError for files that are no
    outputs.
    """
    from batchscore.config import DiffSettings, resolve
    from batchscore.difference.diff import diff as compare

    return compare(resolve(DiffSettings, "diff", settings).settings)


def evaluate(**settings: Any) -> Evaluation:
    """Measure the lists of the ranked file `ranked` against the pairs of `truth`.

    Takes the settings of `batchscore.config.EvaluateSettings`, and `config` and `date`. Raises InputError for files
    that cannot be compared.
    """
    from batchscore.config import EvaluateSettings, resolve
    from batchscore.evaluation.evaluate import evaluate as evaluate_lists

    config, date = settings.pop("config", None), settings.pop("date", None)
    return evaluate_lists(resolve(EvaluateSettings, "evaluate", settings, config=config, date=date).settings)


def golden(
    directory: str | os.PathLike[str], model: str | os.PathLike[str] | None = None, *, update: bool = False
) -> GoldenReport:
    """Run the golden cases at and below `directory`, with `model` or each with its own, and compare.

    `update` makes cases that differ expect what their runs do. Returns the results; raises RefusedError
    (E-GOLDEN-DIFFERS, the results are its `.report`) where a case differs, UsageError (E-GOLDEN) where there is no
    case or one is not valid.
    """
    from pathlib import Path

    from batchscore.golden_cases.runner import check_cases

    report = check_cases(Path(directory), None if model is None else Path(model), update=update)
    report.require_as_expected()
    return report


def rollback(output: str | os.PathLike[str], *, state_dir: str | os.PathLike[str] | None = None) -> Report | None:
    """Publish the output before the published one at `output` again; returns its report, None where it has none.

    Raises BatchscoreError: E-NO-PREVIOUS where no other output is kept.
    """
    from pathlib import Path

    from batchscore.publishing.rollback import rollback as roll_back

    return roll_back(Path(output), None if state_dir is None else Path(state_dir))


def train(**settings: Any) -> TrainingReport:
    """Train a ranking model on `input` and publish it as the next version below `output`.

    Takes the settings of `batchscore.train_settings.TrainSettings`, and `config` and `date`; `features`, `model`
    and `tasks` are dicts as the tables of TOML are. Sets TF_USE_LEGACY_KERAS for this process, or raises UsageError
    (E-KERAS-3) where Keras 3 is loaded already. Returns the report; raises BatchscoreError, with the report as far
    as it got.
    """
    from batchscore.config import resolve
    from batchscore.train_settings import TrainSettings
    from batchscore.training.train import train as train_job

    config, date = settings.pop("config", None), settings.pop("date", None)
    return train_job(resolve(TrainSettings, "train", settings, config=config, date=date).settings)
