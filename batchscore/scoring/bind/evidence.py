"""What the first values of columns tell: which vocabulary knows them, and what stands between several in a text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

from batchscore.arrays.joined_lists import find_other_separator
from batchscore.errors import BatchscoreError
from batchscore.savedmodel.vocabulary import InputVocabulary

MAX_IDS = 2_000_000
"""Ids of a vocabulary that are looked at; a larger one tells nothing."""

_KNOWN_TEXTS = 0.5
_KNOWN_NUMBERS = 0.9
_COVERED = 0.5
_FAILURES = (BatchscoreError, OSError, ValueError, LookupError, StopIteration, pa.ArrowException)


class VocabularyEvidence:
    """Compares the first values of columns with the vocabularies of inputs.

    `read_values` gives the first values of a column, `read_vocabularies` the vocabularies by input. What fails in
    them tells nothing, since the message that the hint is for says what matters.
    """

    def __init__(
        self, read_values: Callable[[str], pa.Array], read_vocabularies: Callable[[], Mapping[str, InputVocabulary]]
    ) -> None:
        self._read_values = read_values
        self._read_vocabularies = read_vocabularies
        self._values = cache(self._distinct_values)
        self._ids = cache(self._vocabulary_ids)

    def knows(self, input_: str, column: str) -> bool | None:
        """Whether most values of the column are in the vocabulary of the input; None if that cannot be told.

        Numbers are in many vocabularies by chance (ages are ids of the first users): most of the vocabulary must
        occur, too.
        """
        ids, values = self._ids(input_), self._values(column)
        if not ids or not values:
            return None
        common = len(ids & values)
        if not all(map(str.isdecimal, values)):
            return common >= _KNOWN_TEXTS * len(values)
        return common >= _KNOWN_NUMBERS * len(values) and common >= _COVERED * len(ids)

    def other_separator(self, column: str, separator: str) -> str | None:
        """The usual separator that most texts of the column hold if none holds `separator`; otherwise None."""
        texts = self._values(column)
        return find_other_separator([pa.array(texts, pa.large_string())], separator) if texts else None

    def _distinct_values(self, column: str) -> frozenset[str] | None:
        with suppress(*_FAILURES):
            values = pc.unique(self._read_values(column))
            if isinstance(values, pa.DictionaryArray):
                values = values.dictionary_decode()
            return frozenset(str(value) for value in values.to_pylist() if value is not None)
        return None

    def _vocabulary_ids(self, input_: str) -> frozenset[str] | None:
        with suppress(*_FAILURES):
            table = self._read_vocabularies()[input_].table
            if table is not None and table.entries is not None and table.entries <= MAX_IDS:
                return frozenset(map(str, table.ids(MAX_IDS)))
        return None
