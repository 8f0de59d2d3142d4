"""Two streams in one order of users, cut into blocks that hold whole users."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from batchscore.outputs.list_reader import USER

BLOCK_ROWS = 2_000_000
"""Rows of each stream that a block holds about. It decides memory, never a result."""


def pair_blocks(
    old: Iterator[pl.DataFrame], new: Iterator[pl.DataFrame]
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Frames of both streams, block by block: a user's rows, of both, are all in one block.

    Both streams hold rows in ascending order of USER. Either side of a block may be empty, never both.
    """
    sides = (_Side(old), _Side(new))
    while True:
        for side in sides:
            side.fill(BLOCK_ROWS)
        if not any(side.rows for side in sides):
            return
        # the last user of a stream that goes on may go on too
        unfinished = [side.last_user for side in sides if not side.finished]
        bound = min(unfinished) if unfinished else None
        parts = [side.take_below(bound) for side in sides]
        if any(part.height for part in parts):
            yield parts[0], parts[1]
            continue
        for side in sides:
            if not side.finished and side.last_user == bound:
                side.fill(side.rows + 1)


class _Side:
    def __init__(self, frames: Iterator[pl.DataFrame]) -> None:
        self._frames = frames
        self._frame = pl.DataFrame()
        self.finished = False

    @property
    def rows(self) -> int:
        return self._frame.height

    @property
    def last_user(self) -> str | int:
        user: str | int = self._frame[USER][-1]
        return user

    def fill(self, rows: int) -> None:
        """Read until there are `rows` rows, or none are left to read."""
        parts = [self._frame]
        while not self.finished and sum(part.height for part in parts) < rows:
            frame = next(self._frames, None)
            if frame is None:
                self.finished = True
            else:
                parts.append(frame)
        if len(parts) > 1:
            self._frame = pl.concat([part for part in parts if part.width])

    def take_below(self, bound: str | int | None) -> pl.DataFrame:
        """Take the rows of all users before `bound`; all rows if it is None."""
        rows = self.rows
        if bound is not None and rows:
            rows = int((self._frame[USER] < bound).sum())
        taken, self._frame = self._frame.head(rows), self._frame.slice(rows)
        return taken
