"""The thread that ends a process which cannot unwind: when it does, and when it must not."""

from __future__ import annotations

import os
import signal

import pytest

from batchscore.cli import signals
from batchscore.cli.signals import Stop


@pytest.fixture
def watched(monkeypatch):
    """Lets a Stop watch until it is through, with these signals arriving; gives what was done, in order."""
    monkeypatch.setattr(signals, "UNWIND_SECONDS", 0)

    def watch(*numbers, abandonable=True, committing=False, ended=False, abandon_fails=False):
        done = []

        def abandon(error):
            done.append(f"abandon {error.signal_number}")
            if abandon_fails:
                raise OSError

        stop = Stop(lambda error: done.append(f"leave {error.exit_code}"))
        if abandonable:
            stop.allow_abandoning(abandon)
        if committing:
            stop.hold()
        arrivals, wakeup = os.pipe()
        os.write(wakeup, bytes(numbers))
        if ended:
            os.close(wakeup)
        try:
            stop.watch(arrivals)
        except OSError:
            assert abandon_fails
        if not ended:
            os.close(wakeup)
        return done

    return watch


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_job_that_does_not_unwind_is_abandoned(watched, number):
    assert watched(number) == [f"abandon {number}", f"leave {128 + number}"]


def test_the_first_signal_that_is_heeded_counts(watched):
    assert watched(signal.SIGCHLD, signal.SIGTERM, signal.SIGINT) == ["abandon 15", "leave 143"]


def test_a_failure_to_clean_up_keeps_nobody(watched):
    assert watched(signal.SIGTERM, abandon_fails=True) == ["abandon 15", "leave 143"]


def test_what_is_committing_finishes(watched):
    assert watched(signal.SIGTERM, committing=True) == []


def test_what_cannot_be_abandoned_unwinds(watched):
    assert watched(signal.SIGTERM, abandonable=False) == []


def test_a_job_that_has_ended_is_left_alone(watched):
    assert watched(ended=True) == []
