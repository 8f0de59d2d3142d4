"""What is trained: the layers of the declared features, the ranking model, its tasks and its batches."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchscore.networks import factory


def __getattr__(name: str) -> Any:
    if name != "factory":
        raise AttributeError(f"module 'batchscore.networks' has no attribute {name!r}")
    return importlib.import_module("batchscore.networks.factory")  # loads TensorFlow


__all__ = ["factory"]
