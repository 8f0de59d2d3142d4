from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.process


def python(program, **environment):
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False, env=environment
    )
    return done.stdout.split(), done.stderr


@pytest.fixture
def environment(monkeypatch):
    import os

    monkeypatch.delenv("TF_USE_LEGACY_KERAS", raising=False)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    return dict(os.environ)


def test_importing_the_trainer_changes_nothing_and_loads_no_tensorflow(environment):
    program = """
import os, sys
before = dict(os.environ)
import batchscore, batchscore.training.train
print(dict(os.environ) == before, "tensorflow" in sys.modules)
"""
    out, errors = python(program, **environment)
    assert (out, errors) == (["True", "False"], "")


def test_tensorflow_that_is_loaded_already_still_gets_keras_2_and_says_nothing(environment):
    program = """
import tensorflow as tf
from batchscore.networks.keras2 import require_keras_2
require_keras_2()
import tensorflow_recommenders
print(tf.keras.Model.__module__.split(".")[0], tf.losses.Loss.__module__.split(".")[0])
"""
    out, _ = python(program, **environment)
    assert out == ["tf_keras", "tf_keras"]


def test_keras_3_is_refused_and_the_environment_left_as_it_was(environment):
    program = """
import os
import tensorflow as tf
tf.keras.layers
from batchscore.errors import UsageError
from batchscore.networks.keras2 import require_keras_2
try:
    require_keras_2()
except UsageError as error:
    print(error.error_id, error.exit_code, "TF_USE_LEGACY_KERAS" in os.environ, "KERAS=1" in str(error))
"""
    out, _ = python(program, **environment)
    assert out == ["E-KERAS-3", "2", "False", "True"]
