from __future__ import annotations

import pytest

from batchscore.errors import BatchscoreError, OutOfMemoryError, OutputError
from batchscore.settings.train import TrainSettings

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("keras2")]

DECLARED = TrainSettings(input="x.parquet", output="m")
FACTORY = TrainSettings(input="x.parquet", output="m", model={"factory": "their_models:build"})


def told(settings, error, expected=BatchscoreError):
    from batchscore.networks.failures import translate_errors

    with pytest.raises(expected) as caught, translate_errors(settings):
        raise error
    return caught.value


@pytest.mark.parametrize("settings", [DECLARED, FACTORY], ids=["declared", "factory"])
@pytest.mark.parametrize("kind", ["array", "tensor", "thread"])
def test_memory_that_runs_out_is_nobody_s_bug(tf, settings, kind):
    error = {
        "array": MemoryError("Unable to allocate 7.45 GiB"),
        "tensor": tf.errors.ResourceExhaustedError(None, None, "{{node}} OOM when allocating tensor\n\nin a layer"),
        "thread": RuntimeError("can't start new thread"),
    }[kind]
    message = str(failure := told(settings, error, OutOfMemoryError))
    assert (failure.error_id, failure.exit_code) == ("E-MEMORY", 7)
    assert "memory ran out" in message.splitlines()[0]
    assert "  found:    {" not in message
    assert "--layers, --embedding-dimension, --batch-rows or --shuffle-rows" in message


@pytest.mark.parametrize("settings", [DECLARED, FACTORY], ids=["declared", "factory"])
def test_memory_that_runs_out_within_a_layer(tf, settings):
    class Large(tf.keras.layers.Layer):
        def call(self, inputs):
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    from batchscore.networks.failures import translate_errors

    with pytest.raises(OutOfMemoryError, match="found:    OOM when allocating"), translate_errors(settings):
        Large()(tf.zeros(1))


def test_an_error_of_ours_keeps_what_it_came_from():
    cause = OSError("disk")
    error = OutputError("E-OUTPUT", "no", next_step="none")
    error.__cause__ = cause
    assert told(FACTORY, error) is error
    assert error.__cause__ is cause


def test_without_a_factory_any_other_stays_what_it_is():
    error = ValueError("ours")
    assert told(DECLARED, error, ValueError) is error


def test_an_error_without_words_has_its_name():
    assert "  found:    its model failed: AssertionError: no message" in str(told(FACTORY, AssertionError()))
