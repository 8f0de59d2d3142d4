"""Several values in one text, such as genres: `Comedy|Drama`. Lists are joined, wrong separators are found."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from batchscore.columns import is_text, plain_type

CANNOT_JOIN = "a value of the list is null or holds the separator"

_USUAL = ("|", ",", ";", "/", "\t")
_MIN_SHARE = 0.5


def find_separator(text: str) -> str | None:
    """The usual separator that the text holds, if it may be several values; otherwise None."""
    return next((usual for usual in _USUAL if usual in text), None)


def can_join(type_: pa.DataType) -> bool:
    """Whether a column is of lists of texts or integers."""
    types = pa.types
    if not (types.is_list(type_) or types.is_large_list(type_) or types.is_fixed_size_list(type_)):
        return False
    item = plain_type(type_.value_type)
    return bool(types.is_integer(item) or is_text(item))


def join_lists(lists: pa.Array, separator: str) -> pa.Array:
    """Each list as one text (large_string), an empty one as the empty text.

    Null where the list is null, or where one of its values is null or holds the separator.
    """
    values = lists.cast(pa.list_(plain_type(lists.type.value_type))).cast(pa.list_(pa.large_string()))
    joined = pc.binary_join(values, pa.scalar(separator, pa.large_string()))
    separators = pc.subtract(pc.max_element_wise(pc.list_value_length(values), 1), 1)
    first = separator[0]  # a value with a part of the separator could make another one
    kept = pc.equal(pc.count_substring(joined, first), pc.multiply(separators, separator.count(first)))
    return pc.if_else(kept, joined, pa.scalar(None, joined.type))


def find_other_separator(texts: Iterable[pa.Array], separator: str) -> str | None:
    """The usual separator that most of the texts hold although none holds `separator`; otherwise None.

    With the wrong separator each text is a list of one value that the model does not know.
    """
    total, counts = 0, dict.fromkeys((usual for usual in _USUAL if usual not in separator), 0)
    for part in texts:
        if pc.any(pc.match_substring(part, separator)).as_py():
            return None
        total += len(part) - part.null_count
        for usual in counts:
            counts[usual] += pc.sum(pc.match_substring(part, usual)).as_py() or 0
    found = max(counts, key=lambda usual: counts[usual])
    return found if total and counts[found] >= _MIN_SHARE * total else None
