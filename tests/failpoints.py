"""Calls of the system that fail one by one: the n-th after a rename that makes something visible."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CALLS = ("mkdir", "rmdir", "unlink", "rename", "replace", "open", "stat", "lstat", "scandir", "listdir", "fsync")


class Failpoint:
    """Counts the calls from the rename to a path that `is_commit` on, and fails the one of number `failing`.

    `failed` names the last call that failed; None where there were fewer. Without a number all of them fail.
    """

    def __init__(self, is_commit: Callable[[Path], bool], failing: int | None = None) -> None:
        self._is_commit = is_commit
        self._failing = failing
        self._committed = False
        self._calls = 0
        self.failed: str | None = None

    @contextmanager
    def armed(self) -> Iterator[Failpoint]:
        with pytest.MonkeyPatch.context() as patch:
            for name in CALLS:
                patch.setattr(os, name, self._wrap(name, getattr(os, name)))
            patch.setattr(io, "open", self._wrap("open", io.open))
            yield self

    def _wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            if self._committed:
                self._calls += 1
                if self._failing in (None, self._calls):
                    self.failed = f"{name}({arguments[0]!r})" if arguments else name
                    raise OSError(errno.EIO, os.strerror(errno.EIO), str(arguments[0]) if arguments else None)
            result = call(*arguments, **options)
            if name in ("rename", "replace") and self._is_commit(Path(arguments[1])):
                self._committed = True
            return result

        return wrapped


def fail_each_call_after(
    is_commit: Callable[[Path], bool], do: Callable[[], None], verify: Callable[[], None]
) -> list[str]:
    """Call `do` with the 1st, 2nd, ... call after the commit failing, until none is left; `verify` after each.

    The calls that failed.
    """
    failed: list[str] = []
    while True:
        with Failpoint(is_commit, len(failed) + 1).armed() as point:
            do()
        verify()
        if point.failed is None:
            return failed
        failed.append(point.failed)
