"""In which order the training rows come in an epoch, drawn with the seed and the number of the epoch.

An order is made of windows: as many rows as are shuffled together in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from batchscore.arrays.codes import encode

_BLOCKS_A_WINDOW = 128


@dataclass(frozen=True)
class Batch:
    """Places of a batch's rows in its window, `[batch]`; `lists` numbers the list of each row from 0, ascending."""

    places: np.ndarray
    lists: np.ndarray | None = None


@dataclass(frozen=True)
class Window:
    """Row numbers, and the batches that are made of them."""

    rows: np.ndarray
    batches: list[Batch]


def draw_generator(seed: int, epoch: int) -> np.random.Generator:
    """The generator of everything that is drawn in `epoch` (from 0): any epoch can be drawn again alone."""
    return np.random.default_rng([seed, epoch])


def shuffle_rows(rows: int, window_rows: int, batch_rows: int, random: np.random.Generator) -> Iterator[Window]:
    """Every row from 0 to `rows` once, in batches of `batch_rows` of which only the last one may be smaller.

    A window holds about `window_rows`, a multiple of `batch_rows`: all rows, or many short runs of rows from all
    over the table, so that rows that stand together (a user's, a day's) are spread, and reading stays cheap.
    """
    window_rows = max(1, window_rows // batch_rows) * batch_rows
    run = rows if rows <= window_rows else max(1, window_rows // _BLOCKS_A_WINDOW)
    starts = random.permutation(np.arange(0, rows, run))
    pending = np.empty(0, np.int64)
    runs_a_window = max(1, window_rows // run)
    for begin in range(0, len(starts), runs_a_window):
        chosen = starts[begin : begin + runs_a_window]
        found = [np.arange(start, min(start + run, rows)) for start in chosen]
        pending = np.concatenate([pending, *found])
        last = begin + runs_a_window >= len(starts)
        whole = len(pending) if last else len(pending) // batch_rows * batch_rows
        if whole:
            order = random.permutation(whole)
            cuts = range(0, whole, batch_rows)
            yield Window(pending[:whole], [Batch(order[cut : cut + batch_rows]) for cut in cuts])
        pending = pending[whole:]


class TrainingLists:
    """The rows of each user, to be cut into lists again in each epoch. Holds 8 bytes per row."""

    def __init__(self, users: pa.ChunkedArray, list_length: int) -> None:
        """`users` has the user of each row."""
        codes, known = encode(users)
        self._order = np.argsort(codes, kind="stable")
        self._rows_of_user = np.bincount(codes, minlength=len(known))
        self._begins = np.cumsum(self._rows_of_user) - self._rows_of_user
        self._list_length = list_length

    def shuffle(self, window_rows: int, batch_rows: int, random: np.random.Generator) -> Iterator[Window]:
        """Every row once, in lists of one user of up to `list_length` rows, drawn again; a batch holds whole lists.

        The lists of a user are about equally long. A batch has about `batch_rows` rows.
        """
        users = random.permutation(len(self._rows_of_user))
        ends = np.cumsum(self._rows_of_user[users])
        begin = 0
        while begin < len(users):
            before = ends[begin - 1] if begin else 0
            end = max(begin + 1, int(np.searchsorted(ends, before + window_rows, side="right")))
            yield self._window(users[begin:end], batch_rows, random)
            begin = end

    def _window(self, users: np.ndarray, batch_rows: int, random: np.random.Generator) -> Window:
        counts = self._rows_of_user[users]
        owner = np.repeat(np.arange(len(users)), counts)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        rows = self._order[np.repeat(self._begins[users], counts) + within]
        rows = rows[np.lexsort((random.random(len(rows)), owner))]
        lists_of_user = -(-counts // self._list_length)
        first = np.cumsum(lists_of_user) - lists_of_user
        lists = np.repeat(first, counts) + within * np.repeat(lists_of_user, counts) // np.repeat(counts, counts)
        place = random.permutation(int(lists_of_user.sum()))[lists]
        order = np.argsort(place, kind="stable")
        return Window(rows, _cut_lists(order, place[order], batch_rows))


def _cut_lists(order: np.ndarray, lists: np.ndarray, batch_rows: int) -> list[Batch]:
    ends = np.flatnonzero(np.append(np.diff(lists) > 0, True)) + 1
    batches = -(-len(order) // batch_rows)
    wanted = np.arange(1, batches + 1) * len(order) / batches
    cuts = np.unique(ends[np.searchsorted(ends, wanted)])
    found, begin = [], 0
    for end in cuts:
        part = lists[begin:end]
        found.append(Batch(order[begin:end], np.cumsum(np.diff(part, prepend=part[:1]) > 0)))
        begin = end
    return found


def draw_others(own: np.ndarray, candidates: int, count: int, random: np.random.Generator) -> np.ndarray:
    """`count` candidates for each row, [rows, count], any but the row's `own` with equal chance.

    A candidate is a number below `candidates`; a row whose own is none of them draws from all.
    """
    drawn = random.integers(candidates - 1, size=(len(own), count))
    drawn += drawn >= own[:, None]
    foreign = own >= candidates
    drawn[foreign] = random.integers(candidates, size=(int(foreign.sum()), count))
    return drawn
