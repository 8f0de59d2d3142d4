"""The model of a training: the declared one, or the one that a function of the data scientist's returns."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import tensorflow_recommenders as tfrs

from batchscore.errors import UsageError
from batchscore.interactions.training_statistics import TrainingStatistics
from batchscore.networks.failures import translate_errors
from batchscore.networks.predictions import predict
from batchscore.networks.ranking_model import build_ranking_model, compile_model, one_empty_row
from batchscore.settings.recipe import Feature, Task
from batchscore.settings.train import TrainSettings


@dataclass(frozen=True)
class ModelContext:
    """What a factory is called with: the declared features and tasks, what is known of the training rows, settings.

    It returns a `tfrs.Model` that

    - called with a dict of the raw features (`[batch]` each, by column name, and no other) and `training` gives one
      tensor `[batch]` or `[batch, 1]`, or several by name. Candidates are ranked by the output named `score`,
      otherwise the one named like the first task, otherwise the only one: higher is better. Each row is treated
      alone;
    - `compute_loss(inputs, training)` gives the loss of a batch of features and labels by column name
      (`batchscore.networks.training_batches.TrainingBatches` says what else is in it);
    - may have `known(ids)`, which gives for the two ids `user_known` and `candidate_known`, bool `[batch]`;
    - may be compiled; otherwise it is, with the declared optimizer and learning rate.
    """

    features: Mapping[str, Feature]
    tasks: Mapping[str, Task]
    statistics: TrainingStatistics
    settings: TrainSettings


def build_model(statistics: TrainingStatistics, settings: TrainSettings) -> tfrs.Model:
    """A compiled, untrained model with its weights drawn: of the factory if there is one, otherwise as declared.

    Raises UsageError: E-CONFIG if declarations do not fit together, E-FACTORY if the factory cannot be
    imported or called, or returns something else; ModelError (E-MODEL-OUTPUT) if its model gives no score.
    """
    if settings.model.factory is None:
        return build_ranking_model(statistics, settings)
    build = _import(settings.model.factory, settings.model.factory_folder)
    context = ModelContext(settings.all_features(), settings.all_tasks(), statistics, settings)
    with translate_errors(settings, "it failed"):
        model = build(context)
    if not isinstance(model, tfrs.Model):
        raise _no_model(settings, f"it returned a {type(model).__name__}")
    with translate_errors(settings, "its model cannot be called"):
        predict(model, one_empty_row(statistics), settings)
    if getattr(model, "optimizer", None) is None:
        compile_model(model, settings)
    return model


def _import(factory: str, folder: Path | None) -> Callable[[ModelContext], Any]:
    module_name, _, name = factory.partition(":")
    try:
        with _importing_from(folder):
            _require_same(module_name.partition(".")[0])
            module = importlib.import_module(module_name)
        function = getattr(module, name)
    except Exception as error:
        raise _not_found(factory, folder, f"{type(error).__name__}: {error}") from error
    if not callable(function):
        raise _not_found(factory, folder, f"{name} is a {type(function).__name__}, which cannot be called")
    return function  # type: ignore[no-any-return]


def _require_same(package: str) -> None:
    """Raise ImportError if a module of this name is loaded, but not the one that an import would find now."""
    specs = getattr(sys.modules.get(package), "__spec__", None), PathFinder.find_spec(package)
    loaded, found = (spec.origin if spec is not None else None for spec in specs)
    if loaded is not None and found is not None and Path(loaded).resolve() != Path(found).resolve():
        raise ImportError(f"this process has loaded another {package}, from {loaded}; rename {found}")


@contextmanager
def _importing_from(folder: Path | None) -> Iterator[None]:
    before = sys.path[:]
    sys.path[:0] = [str(place) for place in (folder, Path.cwd()) if place is not None]
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before


def _not_found(factory: str, folder: Path | None, found: str) -> UsageError:
    return UsageError(
        "E-FACTORY",
        f"the model factory {factory} cannot be used",
        where=folder,
        found=found,
        expected="a function of a module in that folder, in the working directory or installed",
        next_step="correct factory (package.module:function) or factory_folder in [model]",
    )


def _no_model(settings: TrainSettings, found: str) -> UsageError:
    return UsageError(
        "E-FACTORY",
        f"the model factory {settings.model.factory} gives no model that can be trained",
        where=settings.model.factory_folder,
        found=found,
        expected="a tfrs.Model that maps a dict of features to predictions [batch]",
        next_step="correct the function; batchscore.networks.factory.ModelContext says what it is given",
    )
