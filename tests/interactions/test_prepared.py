from __future__ import annotations

import pyarrow as pa
import pytest

from batchscore.errors import OutputError
from batchscore.interactions import prepared
from batchscore.interactions.prepared import PreparedRows

SCHEMA = pa.schema([("id", pa.large_string()), ("number", pa.float32())])


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch):
    monkeypatch.setattr(prepared, "BATCH_ROWS", 4)


def batches(*sizes):
    begin = 0
    for size in sizes:
        numbers = range(begin, begin + size)
        yield pa.record_batch(
            [pa.array([f"id {n}" for n in numbers], pa.large_string()), pa.array(numbers, pa.float32())],
            schema=SCHEMA,
        )
        begin += size


def prepare(path, *sizes):
    with PreparedRows(SCHEMA, path) as rows:
        for batch in batches(*sizes):
            rows.append(batch)
        return rows.finish()


@pytest.mark.parametrize("most_bytes", [0, 100, 10**9])
@pytest.mark.parametrize("sizes", [(), (0,), (1,), (3, 0, 2, 1, 7, 1), (40,), (1,) * 30])
def test_the_rows_are_the_same_in_memory_and_in_a_file(tmp_path, monkeypatch, most_bytes, sizes):
    expected = pa.Table.from_batches(batches(*sizes), SCHEMA)
    monkeypatch.setattr(prepared, "IN_MEMORY_BYTES", most_bytes)
    path = tmp_path / "made" / "rows.arrow"
    table = prepare(path, *sizes)
    table.validate(full=True)
    assert table.equals(expected)
    assert path.exists() == (expected.nbytes > most_bytes)
    assert all(len(chunk) >= 4 for chunk in table["id"].chunks[:-1])


def test_a_mapping_allocates_nothing_and_outlives_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(prepared, "IN_MEMORY_BYTES", 0)
    before = pa.total_allocated_bytes()
    table = prepare(tmp_path / "rows.arrow", *[1000] * 20)
    assert table.nbytes > 20_000 * 8
    assert pa.total_allocated_bytes() - before < table.nbytes / 10
    (tmp_path / "rows.arrow").unlink()
    other = prepare(tmp_path / "rows.arrow", 8)
    assert other.num_rows == 8
    assert table["number"].to_pylist() == list(range(20_000))


def test_a_new_file_of_that_name_leaves_the_old_mapping_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(prepared, "IN_MEMORY_BYTES", 0)
    old = prepare(tmp_path / "rows.arrow", 9)
    prepare(tmp_path / "rows.arrow", 100)
    assert old["number"].to_pylist() == list(range(9))


def test_a_file_that_was_not_finished_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(prepared, "IN_MEMORY_BYTES", 0)
    path = tmp_path / "rows.arrow"

    def fail():
        with PreparedRows(SCHEMA, path) as rows:
            for batch in batches(9):
                rows.append(batch)
            assert path.exists()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not path.exists()


def test_a_place_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(prepared, "IN_MEMORY_BYTES", 0)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError) as caught:
        prepare(tmp_path / "file" / "rows.arrow", 9)
    assert (caught.value.error_id, caught.value.exit_code) == ("E-OUTPUT", 5)
    assert "the prepared rows cannot be written" in str(caught.value)


def test_a_disk_that_fills_up(tmp_path, monkeypatch):
    monkeypatch.setattr(prepared, "IN_MEMORY_BYTES", 0)

    class Full:
        def write_batch(self, batch):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(pa.ipc, "new_file", lambda *_: Full())
    with pytest.raises(OutputError, match="cannot be written: No space left on device"):
        prepare(tmp_path / "rows.arrow", 9)
    assert list(tmp_path.iterdir()) == []
