"""Ids that the model does not know: counted as they pass, against a limit."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchscore.arrays.distinct import find_used, is_same_array
from batchscore.errors import ModelError, RefusedError, shorten
from batchscore.report_parts import GuardResult, KnownIds
from batchscore.scoring.bind.hints import map_flag
from batchscore.scoring.pairs import ScorablePairs
from batchscore.settings.limits import Limit

_FIRST_LOOK_ROWS = 500_000
_EXAMPLES = 5
_SAMPLE = 1000
_MIN_SHARE = 0.9
_FLOAT = re.compile(r"'-?\d+\.0'")

IsKnown = Callable[[pa.Array], np.ndarray]
"""Tells for ids (of the model input's dtype), [n], which are in the model's vocabulary: bool [n].

Raises NoLookUpError, the first time, where it turns out that this model cannot tell: nothing is counted then.
"""


class NoLookUpError(Exception):
    """The model has no look-up for a role's ids; the message says why."""


@dataclass(frozen=True)
class IdRole:
    """One of the two ids: how it is called, where it is fed, what its limit is, and who knows its vocabulary.

    `is_known` is None if the model has no look-up for it; `reason` says why. `column` is the pair column that feeds
    `input`.
    """

    name: str
    input: str | None
    limit: Limit
    error_id: str
    is_known: IsKnown | None
    reason: str | None
    column: str | None = None


class UnknownIds:
    """Counts the distinct ids of one role inside and outside the model's vocabulary."""

    def __init__(self, role: IdRole) -> None:
        self._role = role
        self._is_known = role.is_known if role.input is not None else None
        self._reason = role.reason
        self._seen: list[pa.Array] = []
        self._seen_ids = 0
        self._pending: list[pa.Array] = []
        self._pending_ids = 0
        self._dictionary: pa.Array | None = None
        self._taken = np.zeros(0, bool)
        self._known = 0
        self._unknown = 0
        self._examples: list[str] = []
        self._sample: list[pa.Array] = []

    def add(self, pairs: ScorablePairs) -> None:
        """Count the ids of a batch."""
        if self._is_known is None or self._role.input is None or not len(pairs):
            return
        ids = self._unseen(pairs.feeds[self._role.input])
        self._pending.append(ids)
        self._pending_ids += len(ids)
        if self._pending_ids > max(_FIRST_LOOK_ROWS, self._seen_ids):
            self._look_up()

    def merge(self, other: Self) -> None:
        """Add the ids that `other`, of the same role, was given."""
        if self._is_known is None or other._is_known is None:
            self._is_known, self._reason = None, self._reason or other._reason
            return
        for ids in (*other._seen, *other._pending):
            self._pending.append(ids)
            self._pending_ids += len(ids)
        self._look_up()

    def counts(self) -> KnownIds:
        """Distinct known and unknown ids so far."""
        self._look_up()
        if self._is_known is None:
            return KnownIds(reason=self._reason)
        return KnownIds(known=self._known, unknown=self._unknown)

    @property
    def accept(self) -> str:
        """The flag that accepts any number of unknown ids."""
        return f"--max-unknown-{self._role.name}s off"

    def exceeded(self) -> bool:
        """Whether the ids so far are in breach of the limit."""
        return self._exceeded(self.counts())

    def _exceeded(self, counts: KnownIds) -> bool:
        if counts.known is None or counts.unknown is None:
            return False
        return self._role.limit.exceeded(counts.unknown, counts.known + counts.unknown)

    def result(self, counts: KnownIds) -> GuardResult:
        """The share of unknown ids in `counts` against the limit."""
        return GuardResult(
            name=f"max_unknown_{self._role.name}s",
            figure=counts.unknown_share,
            limit=str(self._role.limit),
            ok=not self._exceeded(counts),
            reason=counts.reason,
        )

    def require_within_limit(self, other: UnknownIds | None = None) -> None:
        """Raise RefusedError (E-UNKNOWN-USERS, E-UNKNOWN-CANDIDATES) if the limit is exceeded.

        The message says if the role of `other` knows these ids.
        """
        if not self.exceeded():
            return
        total, name = self._known + self._unknown, self._role.name
        broken = [self, other] if other is not None and other.exceeded() else [self]
        accept = " ".join(ids.accept for ids in broken)
        check = (
            f"check that --{name}-column names the id that the model was trained with, "
            "and that the model is not too old"
        )
        floats = all(_FLOAT.fullmatch(example) for example in self._examples)
        hint = (
            f"write the ids as integers, without '.0' (somewhere they became floats); {check}" if floats else check
        )
        hint = (self._mixed_up(other, check) if other is not None else None) or hint
        raise RefusedError(
            self._role.error_id,
            f"{self._unknown:,} of {total:,} distinct {name}s are unknown to the model",
            found=f"{100 * self._unknown / total:.1f} %, such as {', '.join(self._examples)}",
            expected=f"at most {self._role.limit} (--max-unknown-{name}s)",
            next_step=f"{hint}; accept once with {accept}",
        )

    def _mixed_up(self, other: UnknownIds, check: str) -> str | None:
        """What to do if the other role knows nearly all of the ids that this one does not."""
        mine, theirs = self._role.name, other._role.name
        unknown = pa.concat_arrays(self._sample) if self._sample else pa.array([])
        if not other._knows_most_of(unknown):
            return None
        if self._knows_most_of(other._first_ids()):
            return (
                f"user and candidate column look swapped: the model knows these {mine}s as {theirs}s, and these "
                f"{theirs}s as {mine}s; to swap them, add {_swap(self._role, other._role)}"
            )
        return (
            f"the model knows these {mine}s as {theirs}s: does --{mine}-column name the {theirs} column?; {check}"
        )

    def _first_ids(self) -> pa.Array:
        ids = [*self._seen, *self._pending][:1]
        return ids[0].slice(0, _SAMPLE) if ids else pa.array([])

    def _knows_most_of(self, ids: pa.Array) -> bool:
        """Whether this role's vocabulary knows ids that came in the other's place; false if it cannot tell."""
        if self._is_known is None or not len(ids):
            return False
        try:
            known = self._is_known(ids)
        except (NoLookUpError, ModelError, ValueError, pa.ArrowException):
            return False
        return int(known.sum()) >= _MIN_SHARE * len(ids)

    def _unseen(self, ids: pa.Array) -> pa.Array:
        """The distinct ids, without those of a dictionary that came in the batch before and were taken then."""
        if not isinstance(ids, pa.DictionaryArray):
            return pc.unique(ids)
        if not is_same_array(self._dictionary, ids.dictionary):
            self._dictionary, self._taken = ids.dictionary, np.zeros(len(ids.dictionary), bool)
        if self._taken.all():
            return ids.dictionary.slice(0, 0)
        new = find_used(ids.indices.to_numpy(), len(self._taken)) & ~self._taken
        self._taken |= new
        return ids.dictionary.filter(pa.array(new))

    def _look_up(self) -> None:
        if not self._pending or self._is_known is None:
            return
        ids = pc.unique(pa.chunked_array(self._pending))
        self._pending, self._pending_ids = [], 0
        if self._seen:
            ids = ids.filter(pc.invert(pc.is_in(ids, value_set=pa.chunked_array(self._seen))))
        if not len(ids):
            return
        self._seen.append(ids)
        self._seen_ids += len(ids)
        try:
            known = self._is_known(ids)
        except NoLookUpError as error:
            self._is_known, self._reason = None, str(error)
            return
        self._known += int(known.sum())
        self._unknown += int((~known).sum())
        unknown = ids.filter(pa.array(~known)).slice(0, _SAMPLE - sum(map(len, self._sample)))
        self._sample.append(unknown)
        examples = unknown.slice(0, _EXAMPLES - len(self._examples))
        self._examples += [shorten(repr(item)) for item in examples.to_pylist()]


def watch_unknown(
    batches: Iterator[ScorablePairs],
    roles: list[UnknownIds],
    read_all_ids: Callable[[], Iterator[ScorablePairs]],
) -> Iterator[ScorablePairs]:
    """Pass `batches` on and count their ids.

    Once, after the first rows: if a limit is exceeded by what was seen, all ids of the input are read (nothing
    else, and nothing is scored) and that settles it, hours before the end of a large run. At the end all limits are
    required again.
    """
    looked, rows = False, 0
    for pairs in batches:
        for role in roles:
            role.add(pairs)
        rows += len(pairs)
        if not looked and rows >= _FIRST_LOOK_ROWS:
            looked = True
            if any(role.exceeded() for role in roles):
                for ids in read_all_ids():
                    for role in roles:
                        role.add(ids)
                _require_within_limits(roles)
        yield pairs
    _require_within_limits(roles)


def _swap(*roles: IdRole) -> str:
    """The flags that make the column of each of two roles that of the other, and feed it as such."""
    flags = []
    for role, other in zip(roles, reversed(roles), strict=True):
        column, fed = str(other.column), str(role.input)
        flags += [f"--{role.name}-column {shlex.quote(column)}", map_flag(fed, column)]
    return " ".join(flags)


def _require_within_limits(roles: list[UnknownIds]) -> None:
    for role in roles:
        role.require_within_limit(next((other for other in roles if other is not role), None))
