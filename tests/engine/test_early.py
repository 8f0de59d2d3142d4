from __future__ import annotations

import resource
import subprocess
import sys
import textwrap
import threading

import pytest

from batchscore.engine import early
from batchscore.engine.libtensorflow import LibraryUnavailableError


def test_a_run_loads_no_other_extension_module_while_the_library_is_loaded():
    # it would wait for the library, and with it the rest of the start
    program = textwrap.dedent("""
        import sys

        def extensions():
            files = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
            return {name for name, file in files.items() if file.endswith(".so")}

        import batchscore.cli.run
        from batchscore.engine import early
        early.load_library = lambda: before.append(extensions())
        before = []
        with early.library_beside():
            import batchscore.cli.settings, batchscore.scoring.run, batchscore.engine.capi
        print(*sorted(extensions() - before[0]))
    """)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_block_ends_with_the_thread(monkeypatch):
    loaded, left = threading.Event(), threading.Event()
    monkeypatch.setattr(early, "load_library", lambda: left.wait() and loaded.set())
    with early.library_beside():
        left.set()
    assert loaded.is_set()


@pytest.mark.parametrize("error", [LibraryUnavailableError("none"), MemoryError(), OSError("disk")])
def test_what_goes_wrong_is_left_to_whoever_needs_the_library(monkeypatch, error):
    def fail():
        raise error

    monkeypatch.setattr(early, "load_library", fail)
    with early.library_beside():
        pass


def test_with_a_limited_address_space_the_library_comes_last(monkeypatch):
    def fail():
        raise AssertionError("loaded")

    monkeypatch.setattr(early, "load_library", fail)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (2**30, resource.RLIM_INFINITY))
    with early.library_beside():
        assert "library" not in {thread.name for thread in threading.enumerate()}
