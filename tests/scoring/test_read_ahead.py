"""Reading ahead: order, errors at their place, and a thread that ends with whoever takes the batches."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import closing

import pytest

from batchscore.errors import InputError, StoppedError
from batchscore.scoring import reader
from batchscore.scoring.reader import read_ahead

PATIENCE = 20
"""Seconds after which a test gives up: never reached unless something hangs."""


def readers():
    return [thread for thread in threading.enumerate() if thread.name == "reader"]


def wait_until_no_reader():
    for thread in readers():
        thread.join(PATIENCE)
    return not readers()


def test_batches_come_in_their_order_and_the_thread_ends():
    assert list(read_ahead(iter(range(100)))) == list(range(100))
    assert not readers()


def test_no_batches():
    assert list(read_ahead(iter([]))) == []


def failing(error, after):
    yield from range(after)
    raise error


@pytest.mark.parametrize("after", [0, 1, 5])
@pytest.mark.parametrize("error", [InputError("E-INPUT-CORRUPT", "x", next_step="n"), MemoryError(), KeyError("k")])
def test_an_error_comes_at_its_place(error, after):
    taken = []
    with pytest.raises(type(error)) as caught:
        taken.extend(read_ahead(failing(error, after)))
    assert caught.value is error
    assert taken == list(range(after))
    assert not readers()


def test_it_reads_no_further_ahead_than_it_should():
    read = []

    def source():
        for number in range(50):
            read.append(number)
            yield number

    with closing(read_ahead(source())) as batches:
        next(batches)
        thread = readers()[0]
        deadline = time.monotonic() + PATIENCE
        while len(read) < reader._BATCHES_AHEAD + 2 and time.monotonic() < deadline:
            time.sleep(0.001)
        thread.join(0.3)  # it would read on, if it could
        assert len(read) == reader._BATCHES_AHEAD + 2, "what was taken, what waits, and what is at the door"
    assert not readers()


def test_a_consumer_that_stops_early_ends_the_reading():
    closed = []

    def source():
        try:
            yield from range(10**9)
        finally:
            closed.append(True)

    with closing(read_ahead(source())) as batches:
        assert [next(batches) for _ in range(3)] == [0, 1, 2]
    assert not readers()
    del batches
    assert closed == [True], "the file is closed too"


def test_a_consumer_that_raises_ends_the_reading():
    def consume():
        with closing(read_ahead(iter(range(10**9)))) as batches:
            for batch in batches:
                raise ValueError(batch)

    with pytest.raises(ValueError, match="0"):
        consume()
    assert not readers()


def test_a_reading_that_hangs_does_not_keep_the_run(monkeypatch):
    monkeypatch.setattr(reader, "_JOIN_SECONDS", 0.05)
    hanging = threading.Event()

    def source():
        yield 1
        hanging.wait(PATIENCE)

    with closing(read_ahead(source())) as batches:
        next(batches)
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
        yield 1

    def stop(number, _frame):
        raise StoppedError(number)

    def send():
        reading.wait(PATIENCE)
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, stop)
    sender = threading.Thread(target=send)
    try:
        sender.start()
        with pytest.raises(StoppedError), closing(read_ahead(source())) as batches:
            next(batches)
        assert not busy.is_set(), "the reader was still busy"
    finally:
        signal.signal(signal.SIGUSR1, before)
        busy.set()
        sender.join(PATIENCE)
    assert wait_until_no_reader()
