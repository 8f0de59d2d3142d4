"""Reading ahead: order, errors at their place, and a thread that ends with whoever takes the batches."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import closing

import numpy as np
import pyarrow as pa
import pytest

from batchscore.errors import InputError, StoppedError
from batchscore.scoring.source import reader
from batchscore.scoring.source.reader import PairBatch, ReadAhead

PATIENCE = 20
"""Seconds after which a test gives up: never reached unless something hangs."""


def batch(number):
    """A batch of 800 bytes."""
    return PairBatch("pairs.parquet", number, pa.record_batch({"x": np.full(100, number)}))


def batches(numbers):
    return map(batch, numbers)


def numbers_of(taken):
    return [item.first_row for item in taken]


def readers():
    return [thread for thread in threading.enumerate() if thread.name == "reader"]


def wait_until_no_reader():
    for thread in readers():
        thread.join(PATIENCE)
    return not readers()


def test_batches_come_in_their_order_and_the_thread_ends():
    assert numbers_of(ReadAhead(batches(range(100)))) == list(range(100))
    assert not readers()


def test_no_batches():
    assert list(ReadAhead(iter([]))) == []


def failing(error, after):
    yield from batches(range(after))
    raise error


@pytest.mark.parametrize("after", [0, 1, 5])
@pytest.mark.parametrize("error", [InputError("E-INPUT-CORRUPT", "x", next_step="n"), MemoryError(), KeyError("k")])
def test_an_error_comes_at_its_place(error, after):
    taken = []
    with pytest.raises(type(error)) as caught:
        taken.extend(ReadAhead(failing(error, after)))
    assert caught.value is error
    assert numbers_of(taken) == list(range(after))
    assert not readers()


@pytest.mark.parametrize(("most_bytes", "ahead"), [(0, 2), (1600, 2), (4000, 5), (4700, 5)])
def test_it_reads_no_further_ahead_than_it_should(monkeypatch, most_bytes, ahead):
    monkeypatch.setattr(reader, "_MAX_BYTES_AHEAD", most_bytes)
    read = []

    def source():
        for number in range(50):
            read.append(number)
            yield batch(number)

    with closing(ReadAhead(source())) as taken:
        for waiting in (ahead, ahead + 1):
            deadline = time.monotonic() + PATIENCE
            while len(read) < waiting + 1 and time.monotonic() < deadline:
                time.sleep(0.001)
            readers()[0].join(0.1)  # it would read on, if it could
            assert len(read) == waiting + 1, "what was taken, what waits, and what is at the door"
            next(taken)
    assert not readers()


def test_it_reads_before_anybody_asks():
    begun = threading.Event()

    def source():
        begun.set()
        yield batch(0)

    with closing(ReadAhead(source())):
        assert begun.wait(PATIENCE)


def test_after_the_end_and_after_closing_there_is_nothing_more():
    taken = ReadAhead(batches([1]))
    assert numbers_of(taken) == [1]
    assert list(taken) == []
    closed = ReadAhead(batches(range(10**9)))
    closed.close()
    closed.close()
    assert len(list(closed)) < 10**5


def test_a_consumer_that_stops_early_ends_the_reading():
    closed = []

    def source():
        try:
            yield from batches(range(10**9))
        finally:
            closed.append(True)

    with closing(ReadAhead(source())) as taken:
        assert numbers_of(next(taken) for _ in range(3)) == [0, 1, 2]
    assert not readers()
    del taken
    assert closed == [True], "the file is closed too"


def test_a_consumer_that_raises_ends_the_reading():
    def consume():
        with closing(ReadAhead(batches(range(10**9)))) as taken:
            for item in taken:
                raise ValueError(item.first_row)

    with pytest.raises(ValueError, match="0"):
        consume()
    assert not readers()


def test_a_reading_that_hangs_does_not_keep_the_run(monkeypatch):
    monkeypatch.setattr(reader, "_JOIN_SECONDS", 0.05)
    hanging = threading.Event()

    def source():
        yield batch(1)
        hanging.wait(PATIENCE)

    with closing(ReadAhead(source())) as taken:
        next(taken)
    assert len(readers()) == 1, "it was left behind"
    assert readers()[0].daemon, "and does not keep the process"
    hanging.set()
    assert wait_until_no_reader()


def test_a_signal_is_heard_while_the_reader_is_busy(monkeypatch):
    monkeypatch.setattr(reader, "_JOIN_SECONDS", 0.05)
    busy, reading = threading.Event(), threading.Event()

    def source():
        reading.set()
        busy.wait(PATIENCE)
        yield batch(1)

    def stop(number, _frame):
        raise StoppedError(number)

    def send():
        reading.wait(PATIENCE)
        time.sleep(0.1)  # a signal that comes while the main thread is about to wait is heard only after the wait
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, stop)
    sender = threading.Thread(target=send)
    try:
        sender.start()
        with pytest.raises(StoppedError), closing(ReadAhead(source())) as taken:
            next(taken)
        assert not busy.is_set(), "the reader was still busy"
    finally:
        signal.signal(signal.SIGUSR1, before)
        busy.set()
        sender.join(PATIENCE)
    assert wait_until_no_reader()
