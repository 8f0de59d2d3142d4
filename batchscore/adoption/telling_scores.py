"""What the scores of the probe rows tell before any night does: that all are equal, or blind to an id."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from batchscore.adoption.choice import Choice
from batchscore.adoption.probe_rows import ProbeRows
from batchscore.engine.probes import score_rows
from batchscore.engine.session import Session
from batchscore.errors import ModelError, RefusedError
from batchscore.scoring.guard.verdict import format_limit, format_share
from batchscore.settings.adopt import AdoptSettings
from batchscore.settings.limits import Limit

_ROLLS = (1, 3, 5)
_MIN_ROWS = 10
"""Fewer may have equal scores by chance, as few lists may."""


def require_telling_scores(
    session: Session, choice: Choice, rows: ProbeRows, scores: np.ndarray, settings: AdoptSettings
) -> list[str]:
    """Raise RefusedError if every run would: E-SCORES-EQUAL, E-IDENTICAL-LISTS. Gives what is only a doubt.

    `scores` are those of `rows`. Made-up ids tell nothing of known ones: equal scores are only a doubt then.
    Whether the user counts is asked by giving each candidate the other inputs of other rows.
    """
    if len(scores) > 1 and np.ptp(scores) == 0:
        if not rows.made_up and not settings.allow_equal_scores:
            raise _all_equal(choice, scores)
        return ["every probe row has the same score: is this the right output, and are the ids known to the model?"]
    blind = _Blindness(session, choice, rows, scores)
    others = [name for name in choice.signature.inputs if name not in choice.set]
    ignored = blind.rows_without([name for name in others if name != choice.candidate_input], choice.user_input)
    limit = settings.max_identical_lists
    if ignored is not None and limit.exceeded(*ignored) and choice.user_input not in rows.made_up:
        raise _blind_to_the_user(choice, *ignored, limit)
    return list(_doubts(blind, choice, rows))


def _all_equal(choice: Choice, scores: np.ndarray) -> RefusedError:
    return RefusedError(
        "E-SCORES-EQUAL",
        f"all {len(scores)} probe rows have the score {scores[0]:.9g}; it was not published",
        where=choice.saved.path,
        expected="scores that differ: a run refuses equal ones",
        next_step="check that the model is trained and that --score-output names its score, or accept it with "
        "--allow-equal-scores",
    )


def _blind_to_the_user(choice: Choice, rows: int, compared: int, limit: Limit) -> RefusedError:
    return RefusedError(
        "E-IDENTICAL-LISTS",
        f"the score ignores the user in {rows} of {compared} probe rows ({format_share(rows / compared)}, limit "
        f"{format_limit(limit)}); it was not published",
        where=choice.saved.path,
        found="the same candidate has the same score for every user",
        next_step="check that the model was trained on the user and that --user-input names the user's input, or "
        "accept it with --max-identical-lists off",
    )


def _doubts(blind: _Blindness, choice: Choice, rows: ProbeRows) -> Iterator[str]:
    for role, name in (("user", choice.user_input), ("candidate", choice.candidate_input)):
        found = None if name in rows.made_up else blind.rows_without([name], name)
        if found is not None and found[0] == found[1]:
            yield (
                f"no score depends on input {name}: if nothing else describes the {role}, every run will find that "
                f"the scores ignore the {role}"
            )


class _Blindness:
    """Scores rows again with some inputs taken from other rows."""

    def __init__(self, session: Session, choice: Choice, rows: ProbeRows, scores: np.ndarray) -> None:
        self._session = session
        self._choice = choice
        self._rows = rows
        self._scores = scores

    def rows_without(self, inputs: list[str], id_input: str) -> tuple[int, int] | None:
        """How many rows keep their score, to the bit, whatever row gives them `inputs`; of how many with other ids.

        Of coarse scores (fewer than half as many as rows) equal ones mean little: all rows count, or none. None if
        the ids differ in too few rows, or the model fails on rows that are mixed so.
        """
        kept = np.ones(self._rows.count, bool)
        moved = np.zeros(self._rows.count, bool)
        ids = np.array(self._rows.inputs[id_input])
        for step in _ROLLS:
            moved |= np.roll(ids, step) != ids
            mixed = {
                name: [*values[-step:], *values[:-step]] if name in inputs else values
                for name, values in self._rows.inputs.items()
            }
            try:
                kept &= self._score(mixed) == self._scores
            except ModelError:
                return None
        if moved.sum() < _MIN_ROWS:
            return None
        coarse = len(np.unique(self._scores)) * 2 < len(self._scores)
        count, compared = int((kept & moved).sum()), int(moved.sum())
        return (0 if coarse and count < compared else count), compared

    def _score(self, inputs: dict[str, list[object]]) -> np.ndarray:
        choice = self._choice
        return score_rows(self._session, choice.signature, choice.score, inputs, self._rows.count)
