"""Damaged files as `train --input` and as side tables: whatever their bytes are, the error is a documented one."""

from __future__ import annotations

from contextlib import suppress

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchscore.errors import InputError


@pytest.mark.parametrize("damage", ["interactions", "users"])
def test_no_bytes_lead_to_anything_but_a_documented_error(write, read, damaged_parquet, tmp_path, damage):
    users = tmp_path / "users.parquet"
    pq.write_table(pa.table({"user_id": [f"u{row}" for row in range(40)], "coded": ["x"] * 40}), users)
    settings = write(
        pa.table({"user_id": ["u1", "u2"], "movie_id": [1, 2], "user_rating": [1.0, 0.0]}),
        features={"coded": {"kind": "vocabulary", "role": "user"}},
        users=users,
    )
    damaged = settings.input if damage == "interactions" else users
    for seed in range(300):
        damaged.write_bytes(damaged_parquet(seed))
        with suppress(InputError):
            read(settings)
