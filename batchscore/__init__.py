"""batchscore: the nightly ranking job for TensorFlow Recommenders.

The Python API has the names of the command line: `batchscore.run(input=..., output=..., top_n=20)` is
`batchscore run --input ... --output ... --top-n 20`. It returns the report; failures raise
`batchscore.errors.BatchscoreError` with `.exit_code`, `.error_id` and `.report`. Nothing heavy is imported and no
environment variable is changed before a function is called.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchscore.report import Report
    from batchscore.training.report import TrainingReport

__all__ = ["__version__", "run", "train"]
__version__ = version("batchscore")


def run(**settings: Any) -> Report:
    """Score every pair of `input` and publish each user's top N to `output`.

    Takes the settings of `batchscore.config.RunSettings`, and `config` (a TOML file) and `date` as the command
    does. Returns the report; raises BatchscoreError, or UsageError for settings.
    """
    from batchscore.config import RunSettings, resolve
    from batchscore.scoring.run import run as run_job

    config, date = settings.pop("config", None), settings.pop("date", None)
    return run_job(resolve(RunSettings, "run", settings, config=config, date=date).settings)


def train(**settings: Any) -> TrainingReport:
    """Train a ranking model on `input` and publish it as the next version below `output`.

    Takes the settings of `batchscore.config.TrainSettings`, and `config` and `date`. Sets TF_USE_LEGACY_KERAS for
    this process, or raises UsageError (E-KERAS-3) where Keras 3 is loaded already. Returns the report; raises
    BatchscoreError.
    """
    from batchscore.config import TrainSettings, resolve
    from batchscore.training.train import train as train_job

    config, date = settings.pop("config", None), settings.pop("date", None)
    return train_job(resolve(TrainSettings, "train", settings, config=config, date=date).settings)
