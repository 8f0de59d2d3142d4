from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from batchscore.arrays.codes import MISSING, Codes, encode, order_of, pair_keys


def test_codes_follow_the_order_in_which_ids_are_first_seen():
    codes = Codes(pa.large_string())
    assert codes.add(pa.array(["b", "a", "b"])).tolist() == [0, 1, 0]
    assert codes.add(pa.chunked_array([["c"], ["a", "d"]])).tolist() == [2, 1, 3]
    assert codes.ids.to_pylist() == ["b", "a", "c", "d"]
    assert codes.find(pa.array(["d", "", "b"])).tolist() == [3, MISSING, 0]
    assert len(codes) == 4


@pytest.mark.parametrize(
    "ids",
    [
        pa.chunked_array([], pa.int64()),
        pa.array([], pa.int64()),
        pa.chunked_array([[], [7, 3], [], [7]], pa.int64()),
    ],
    ids=["no chunk", "no row", "empty chunks between"],
)
def test_encoded_ids_come_back(ids):
    codes, distinct = encode(ids)
    assert codes.dtype == np.int32
    assert distinct.take(pa.array(codes)).to_pylist() == ids.to_pylist()
    assert len(distinct.unique()) == len(distinct)


def test_text_is_in_the_order_of_its_bytes():
    ids = ["\uff5a", "\U00010000", "b", "B", "10", "9"]
    places = order_of(pa.array(ids, pa.large_string()))
    assert [ids[place] for place in np.argsort(places)] == sorted(ids, key=str.encode)


def test_keys_of_pairs_are_in_the_order_of_users_then_candidates():
    users, candidates = np.array([1, 0, 1, 2**31 - 1], np.int32), np.array([0, 2**31 - 1, 1, 0], np.int32)
    keys = pair_keys(users, candidates)
    assert keys.dtype == np.int64
    assert np.argsort(keys).tolist() == [1, 0, 2, 3]
