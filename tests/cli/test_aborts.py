"""A library that aborts for want of memory, in processes of a few lines: which end they come to."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.process,
    pytest.mark.timeout(60),
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which signals a thread blocks"),
]

PROGRAM = """
    import ctypes, resource, sys, threading
    from batchscore.cli.console import _leave
    from batchscore.cli.signals import stoppable

    limit, *given = sys.argv[1:]
    if limit != "none":
        resource.setrlimit(resource.RLIMIT_AS, (int(limit), int(limit)))
    with stoppable(_leave) as stop:
        if "abandonable" in given:
            stop.allow_abandoning(lambda error: print("abandoned:", error.error_id, file=sys.stderr, flush=True))
        if "committing" in given:
            stop.hold()
        abort = ctypes.PyDLL(None).abort if "holding the GIL" in given else ctypes.CDLL(None).abort
        if "on a thread" in given:
            thread = threading.Thread(target=abort)
            thread.start()
            thread.join()
        else:
            abort()
"""
LIMITED = str(2**32)


def end(*arguments):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), *arguments], capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize("where", ["on the main thread", "on a thread"])
def test_with_a_limited_address_space_it_is_out_of_memory(where):
    code, told = end(LIMITED, where, "abandonable")
    assert code == 7, told
    first, message = told.split("\n", 1)
    assert first == "abandoned: E-MEMORY"
    assert "ERROR E-MEMORY: memory ran out, and a library aborted the process" in message
    assert "the address space is limited to 4,096 MiB (ulimit -v)" in message


def test_a_job_that_cannot_be_abandoned_is_told_too():
    assert end(LIMITED)[0] == 7


@pytest.mark.parametrize("given", [["none", "abandonable"], [LIMITED, "abandonable", "committing"]])
def test_without_a_limit_and_while_committing_it_is_the_death_that_it_was(given):
    code, told = end(*given)
    assert (code, "abandoned" in told) == (-signal.SIGABRT, False)


def test_where_nobody_can_clean_up_the_process_still_ends():
    assert end(LIMITED, "abandonable", "holding the GIL")[0] == -signal.SIGABRT
