from __future__ import annotations

import pytest

from batchscore.training.metrics import Epoch

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("keras2")]


def test_logs_that_cannot_be_written_any_more_end_no_training(tmp_path, tf, monkeypatch, caplog):
    from batchscore.training.tensorboard import Board

    def flush():
        raise tf.errors.ResourceExhaustedError(None, None, "events.v2; No space left on device")

    board = Board(tmp_path)
    monkeypatch.setattr(board._writer, "flush", flush)
    for number in (1, 2):
        board.write(Epoch(number, 0.5, {"rating": {"RMSE": 1.0}}))
    assert caplog.messages == [
        f"no more logs for TensorBoard in {tmp_path}: events.v2; No space left on device"
    ]  # fmt: skip
