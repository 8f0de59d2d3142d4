"""Which interactions a model learns from, which decide when it stops, and which it is tested on."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchscore.arrays.codes import encode
from batchscore.errors import InputError
from batchscore.interactions.draws import draw_by_content
from batchscore.interactions.prepared import PreparedRows
from batchscore.interactions.read import Interactions
from batchscore.settings.train import TrainSettings

_log = logging.getLogger(__name__)

_TRAINING, _VALIDATION, _HELD_OUT = range(3)

Parts = np.ndarray
"""The part of each row, uint8 `[rows]`."""


@dataclass(frozen=True)
class Split:
    """Three parts of the interactions, each in the order of the file, with the same columns; no row is in two.

    `validation` has no rows where training does not stop early.
    """

    training: pa.Table
    validation: pa.Table
    held_out: pa.Table
    user_column: str
    candidate_column: str

    def describe(self) -> dict[str, int]:
        """Rows of each part; distinct users and candidates of the training rows."""
        return {
            "training_rows": self.training.num_rows,
            "validation_rows": self.validation.num_rows,
            "held_out_rows": self.held_out.num_rows,
            "users": pc.count_distinct(self.training[self.user_column]).as_py(),
            "candidates": pc.count_distinct(self.training[self.candidate_column]).as_py(),
        }


def split_interactions(interactions: Interactions, settings: TrainSettings) -> Split:
    """The parts that `settings.split` asks for; `validation` is chosen from the rest just as `held_out` from all.

    `random`: each pair of user and candidate draws its part with the seed, so the shares are only about right;
    a pair stays in its part when rows are added or removed, so that a later training is tested on no pair that an
    earlier one has learned. `time`: the rows from a moment on, chosen so that about the share is left; rows of one
    moment stay together, and no row comes later than one of a later part. `last`: each user's `last` newest rows,
    of one moment those later in the file (all by the file if there is no `timestamp_column`); users with no row
    more than that lose none, and `validation` takes as many again.

    Costs one pass over the rows and up to 50 bytes of memory a row (`last`; the others up to 40). Large parts are
    mapped from files in `interactions.work`. Raises InputError (E-INTERACTIONS) if a part would be empty, and
    OutputError (E-OUTPUT).
    """
    choose = {"random": _choose_random, "time": _choose_latest, "last": _choose_last}[
        settings.split or ("random" if settings.timestamp_column is None else "time")
    ]
    parts = choose(interactions.rows, settings)
    training, validation, held_out = _divide(interactions.rows, parts, interactions.work)
    return Split(training, validation, held_out, settings.user_column, settings.candidate_column)


def _choose_random(rows: pa.Table, settings: TrainSettings) -> Parts:
    users, candidates = rows[settings.user_column], rows[settings.candidate_column]
    parts = np.full(rows.num_rows, _TRAINING, np.uint8)
    for part, name, share in _shares(settings):
        left = parts == _TRAINING
        chosen = left & (draw_by_content(users, candidates, settings.seed, part) < share)
        if not chosen.any() or chosen.sum() == left.sum():
            raise _too_few(settings, f"{left.sum():,} rows, {chosen.sum():,} of them drawn with {name} {share:g}")
        parts[chosen] = part
    return parts


def _choose_latest(rows: pa.Table, settings: TrainSettings) -> Parts:
    moments = _moments(rows, settings)
    parts = np.full(len(moments), _TRAINING, np.uint8)
    rest = np.sort(moments)
    for part, name, share in _shares(settings):
        cut = _find_cut(rest, share)
        if cut == 0:
            raise _too_few(
                settings, f"{len(rest):,} rows with the same timestamp, to be divided with {name} {share:g}"
            )
        # the last part is cut first, so later cuts take only what is still in training
        parts[(parts == _TRAINING) & (moments >= rest[cut])] = part
        rest = rest[:cut]
    return parts


def _find_cut(moments: np.ndarray, share: float) -> int:
    """Where the ascending `moments` change nearest to leaving `share` behind; of two equally near, the first.

    0 if they do not change at all.
    """
    wanted = min(round((1 - share) * len(moments)), len(moments) - 1)
    before = int(np.searchsorted(moments, moments[wanted], "left"))
    after = int(np.searchsorted(moments, moments[wanted], "right"))
    cuts = [cut for cut in (before, after) if 0 < cut < len(moments)]
    return min(cuts, key=lambda cut: abs(cut - wanted), default=0)


def _choose_last(rows: pa.Table, settings: TrainSettings) -> Parts:
    if settings.timestamp_column is None:
        _log.warning("no timestamp_column: a user's newest rows are those that come last in the file")
    users, _ = encode(rows[settings.user_column])
    order = (
        np.argsort(users, kind="stable")
        if settings.timestamp_column is None
        else np.lexsort((_moments(rows, settings), users))
    )
    counts = np.bincount(users)
    from_newest = np.repeat(np.cumsum(counts), counts) - np.arange(len(order))  # 1 is a user's newest
    left = np.repeat(counts, counts)
    parts = np.full(len(order), _TRAINING, np.uint8)
    for part, _, _ in _shares(settings):
        chosen = (from_newest > 0) & (from_newest <= settings.last) & (left > settings.last)
        if not chosen.any():
            raise _too_few(settings, f"no user with more than {settings.last:,} row(s) to take the last from")
        parts[order[chosen]] = part
        from_newest, left = from_newest - settings.last, left - settings.last  # users who lost none have none left
    return parts


def _shares(settings: TrainSettings) -> list[tuple[int, str, float]]:
    """The parts besides training in the order in which they are cut off: number, setting, share of what is left."""
    held_out = (_HELD_OUT, "held_out", settings.held_out)
    validation = (_VALIDATION, "validation", settings.validation)
    return [held_out, validation] if settings.patience else [held_out]


def _moments(rows: pa.Table, settings: TrainSettings) -> np.ndarray:
    moments = np.empty(rows.num_rows, np.int64)
    begin = 0
    for chunk in rows[settings.timestamp_column].chunks:
        moments[begin : begin + len(chunk)] = chunk.to_numpy()
        begin += len(chunk)
    return moments


def _divide(rows: pa.Table, parts: Parts, work: Path) -> list[pa.Table]:
    with ExitStack() as stack:
        divided = [
            stack.enter_context(PreparedRows(rows.schema, work / f"{name}.arrow"))
            for name in ("training", "validation", "held_out")
        ]
        begin = 0
        for batch in rows.to_batches():
            numbers = parts[begin : begin + batch.num_rows]
            for part, prepared in enumerate(divided):
                prepared.append(batch.filter(pa.array(numbers == part)))
            begin += batch.num_rows
        return [prepared.finish() for prepared in divided]


def _too_few(settings: TrainSettings, found: str) -> InputError:
    return InputError(
        "E-INTERACTIONS",
        "there are too few interactions to hold some out",
        where=settings.input,
        found=found,
        expected="at least one row on each side",
        next_step="give more interactions, or change --held-out, --validation, --last or --split",
    )
