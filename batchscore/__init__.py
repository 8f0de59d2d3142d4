"""batchscore: the nightly ranking job for TensorFlow Recommenders."""

from __future__ import annotations

from importlib.metadata import version

__version__ = version("batchscore")
