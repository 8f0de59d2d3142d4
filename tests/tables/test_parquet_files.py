"""Every encoding, codec and version of pages that pyarrow and DuckDB write is read as what was written."""

from __future__ import annotations

import base64
from contextlib import suppress

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
import pytest

from batchscore.errors import InputError
from batchscore.interactions.input_files import open_table_file
from batchscore.scoring.source.parquet_source import open_pairs
from batchscore.tables.parquet_files import ParquetContent, is_limit, open_source

ROWS = 900
CODECS = ("none", "snappy", "gzip", "brotli", "lz4", "zstd")
TEXT = [f"user-{row * 7 % 400}" for row in range(ROWS)]
COLUMNS = {
    "text": pa.array(TEXT),
    "large": pa.array(TEXT, pa.large_string()),
    "view": pa.array(TEXT, pa.string_view()),
    "nulls": pa.array([text if row % 5 else None for row, text in enumerate(TEXT)]),
    "empty": pa.array(["" if row % 2 else None for row in range(ROWS)]),
    "coded": pa.array(TEXT).dictionary_encode(),
    "small_codes": pa.array([text[-1] for text in TEXT]).cast(pa.dictionary(pa.int8(), pa.string())),
    "whole": pa.array(range(ROWS), pa.int64()),
    "short": pa.array([row % 100 for row in range(ROWS)], pa.int8()),
    "real": pa.array([row / 3 for row in range(ROWS)], pa.float32()),
    "half": pa.array(range(ROWS), pa.float16()),
    "double": pa.array([row / 7 for row in range(ROWS)]),
    "flag": pa.array([row % 3 == 0 for row in range(ROWS)]),
    "moment": pa.array(range(ROWS), pa.timestamp("us", "UTC")),
}
PLAIN, DELTA, LENGTHS = "PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"
TEXTS = ("text", "large", "view", "nulls", "empty", "coded", "small_codes")
ENCODINGS = {
    **dict.fromkeys(TEXTS, (PLAIN, DELTA, LENGTHS)),
    **dict.fromkeys(("whole", "short", "moment"), (PLAIN, "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT")),
    **dict.fromkeys(("real", "double", "half"), (PLAIN, "BYTE_STREAM_SPLIT")),
    "flag": (PLAIN, "RLE"),
}


def values(arrays):
    return [value.as_py() for array in arrays for value in array]


def read_as_pairs(path, columns):
    """What scoring reads of each column; the types that it gives."""
    batches = list(open_pairs(path).batches(columns))
    return {name: values(batch.table.column(name) for batch in batches) for name in columns}, batches[
        0
    ].table.schema


def read_as_table(path, columns):
    """What training reads of each column; the types that it gives."""
    with open_table_file(path, "interactions", "--input") as file:
        batches = list(file.batches(columns))
    return {name: values(batch.column(name) for batch in batches) for name in columns}, batches[0].schema


def assert_read(path, table):
    columns = list(table.column_names)
    expected = {name: table.column(name).to_pylist() for name in columns}
    found, types = read_as_pairs(path, columns)
    assert found == expected
    found, _ = read_as_table(path, columns)
    assert found == expected
    texts = [name for name in columns if name in TEXTS]
    assert all(pa.types.is_dictionary(types.field(name).type) for name in texts)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("codec", CODECS)
def test_all_that_pyarrow_writes(tmp_path, codec, version):
    table = pa.table(COLUMNS)
    how = {"compression": codec, "data_page_version": version, "row_group_size": 400, "data_page_size": 1000}
    pq.write_table(table, tmp_path / "dictionaries.parquet", write_page_checksum=True, **how)
    assert_read(tmp_path / "dictionaries.parquet", table)
    pq.write_table(table, tmp_path / "overflow.parquet", dictionary_pagesize_limit=500, **how)
    assert_read(tmp_path / "overflow.parquet", table)
    for step in range(3):
        encodings = {name: of[step % len(of)] for name, of in ENCODINGS.items()}
        path = tmp_path / f"{step}.parquet"
        pq.write_table(table, path, use_dictionary=False, column_encoding=encodings, **how)
        assert_read(path, table)


@pytest.fixture(scope="module")
def duck():
    table = pa.table(
        {name: COLUMNS[name] for name in ("text", "nulls", "whole", "short", "real", "double", "flag")}
    )
    with duckdb.connect() as connection:
        connection.register("pairs", table)
        yield lambda path, how: connection.execute(f"COPY pairs TO '{path}' (FORMAT parquet, {how})"), table


@pytest.mark.parametrize("version", ["V1", "V2"])
@pytest.mark.parametrize("codec", ["uncompressed", "snappy", "gzip", "zstd", "brotli", "lz4", "lz4_raw"])
def test_all_that_duckdb_writes(tmp_path, duck, codec, version):
    write, table = duck
    for name, more in (
        ("auto", ""),
        ("plain", ", DICTIONARY_SIZE_LIMIT 1"),
        ("large", ", DICTIONARY_SIZE_LIMIT 5000"),
    ):
        path = tmp_path / f"{name}.parquet"
        write(path, f"CODEC '{codec}', PARQUET_VERSION {version}{more}")
        assert_read(path, table)


def test_the_types_that_duckdb_writes_do_not_disturb_where_nobody_uses_them(tmp_path):
    path = tmp_path / "pairs.parquet"
    query = """
        SELECT 'u' AS text, INTERVAL 1 DAY a, uuid() b, 'x'::ENUM('x', 'y') c, '{"a": 1}'::JSON d, '101'::BIT e,
        5::HUGEINT f, TIME '10:00' g, TIMESTAMP_NS '2020-01-01' h, [1, 2] i, {'a': 1} j, MAP {'a': 1} k,
        [1, 2]::INT[2] l, 1.5::DECIMAL(30, 3) m, 'x'::BLOB n, NULL o, 5::UHUGEINT p, DATE '2020-01-01' q
    """
    duckdb.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
    assert read_as_pairs(path, ["text"])[0] == {"text": ["u"]}
    assert read_as_table(path, ["text"])[0] == {"text": ["u"]}


# where the footer does not tell, and columns that change their encoding


@pytest.mark.parametrize("kind", ["text", "coded"])
@pytest.mark.parametrize("batch_rows", [30, 100, 170])
def test_reading_goes_on_plainly_from_the_row_where_dictionaries_end(tmp_path, kind, batch_rows, monkeypatch):
    """The failure is simulated: pyarrow does not write row groups of one column in several encodings."""
    path = tmp_path / "pairs.parquet"
    table = pa.table({"text": COLUMNS[kind], "other": COLUMNS["large"], "n": range(ROWS)})
    pq.write_table(table, path, row_group_size=200)
    iter_batches = pq.ParquetFile.iter_batches

    def fail_in_the_third_row_group(self, size, *, row_groups, columns, use_threads):
        for group in row_groups:
            batches = iter_batches(self, size, row_groups=[group], columns=columns, use_threads=use_threads)
            for number, batch in enumerate(batches):
                text = batch.schema.field("text").type if "text" in columns else None
                if group == 2 and number == 1 and text is not None and pa.types.is_dictionary(text):
                    raise OSError("Not yet implemented: DecodeArrow of DictAccumulator for DeltaByteArrayDecoder.")
                yield batch

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", fail_in_the_third_row_group)
    with open_source(path) as source:
        content = ParquetContent.of(source)
        batches = list(content.batches(["other", "text", "n"], batch_rows, ["text", "other"]))
    assert all(batch.schema.names == ["other", "text", "n"] and batch.num_rows <= batch_rows for batch in batches)
    assert all(pa.types.is_dictionary(batch.column(at).type) for batch in batches for at in (0, 1))
    assert values(batch.column(2) for batch in batches) == list(range(ROWS))
    assert values(batch.column(1) for batch in batches) == TEXT
    assert values(batch.column(0) for batch in batches) == TEXT


def test_more_text_than_a_dictionary_can_hold_is_read_plainly(tmp_path, monkeypatch):
    path = tmp_path / "pairs.parquet"
    pq.write_table(pa.table({"text": TEXT}), path)
    iter_batches = pq.ParquetFile.iter_batches

    def overflow(self, *given, **named):
        for batch in iter_batches(self, *given, **named):
            if pa.types.is_dictionary(batch.schema.field("text").type):
                raise pa.lib.ArrowCapacityError("array cannot contain more than 2147483646 bytes, have 2147483649")
            yield batch

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", overflow)
    assert read_as_pairs(path, ["text"])[0] == {"text": TEXT}


def test_moments_after_2262_in_the_old_type_are_those_that_were_written(tmp_path):
    path = tmp_path / "pairs.parquet"
    moments = pa.array([253_402_214_400, 0], pa.timestamp("s")).cast(pa.timestamp("us"))  # 9999-12-31
    pq.write_table(pa.table({"moment": moments}), path, use_deprecated_int96_timestamps=True)
    assert read_as_pairs(path, ["moment"])[0] == {"moment": moments.to_pylist()}
    assert read_as_table(path, ["moment"])[0] == {"moment": moments.to_pylist()}


# a limit is no damage


def limit_told(path, read, columns):
    with pytest.raises(InputError) as caught:
        read(path, columns)
    assert (caught.value.error_id, caught.value.exit_code) == ("E-INPUT-UNSUPPORTED", 3)
    assert f"cannot be read by this pyarrow ({pa.__version__})\n  where:    {path}\n" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("read", [read_as_pairs, read_as_table])
def test_an_encrypted_column_is_told_as_that_where_it_is_used(tmp_path, read):
    class Keys(pe.KmsClient):
        def wrap_key(self, key_bytes, master_key_identifier):
            return base64.b64encode(key_bytes)

        def unwrap_key(self, wrapped_key, master_key_identifier):
            return base64.b64decode(wrapped_key)

    factory = pe.CryptoFactory(lambda _: Keys())
    how = pe.EncryptionConfiguration("footer", column_keys={"key": ["secret"]}, plaintext_footer=True)
    properties = factory.file_encryption_properties(pe.KmsConnectionConfig(), how)
    table = pa.table({"secret": TEXT, "text": TEXT})
    path = tmp_path / "pairs.parquet"
    with pq.ParquetWriter(path, table.schema, encryption_properties=properties) as writer:
        writer.write_table(table)
    assert read(path, ["text"])[0] == {"text": TEXT}
    assert "decrypt" in limit_told(path, read, ["secret"])


@pytest.mark.parametrize("read", [read_as_pairs, read_as_table])
def test_a_codec_that_is_not_built_in(tmp_path, read):
    path = tmp_path / "pairs.parquet"
    pq.write_table(pa.table({"text": TEXT}), path, compression="gzip", use_dictionary=False)
    content = path.read_bytes()
    footer = int.from_bytes(content[-8:-4], "little")
    head, tail = content[: -8 - footer], content[-8 - footer :]
    # the codec stands after the column's path in the footer: 2 is gzip, 3 is LZO
    assert tail.count(b"\x04text\x15\x04") == 1
    path.write_bytes(head + tail.replace(b"\x04text\x15\x04", b"\x04text\x15\x06"))
    assert "LZO" in limit_told(path, read, ["text"])


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError("Not yet implemented: DecodeArrow of DictAccumulator for DeltaByteArrayDecoder."), True),
        (pa.ArrowNotImplementedError("Nested data conversions"), True),
        (pa.ArrowNotImplementedError("Support for codec 'lzo' not built"), True),
        (pa.lib.ArrowCapacityError("array cannot contain more than 2147483646 bytes, have 2147483649"), True),
        (pa.ArrowInvalid("offset overflow while concatenating arrays"), True),
        (OSError("Cannot decrypt ColumnMetadata. FileDecryption is not setup correctly"), True),
        (OSError("Corrupt snappy compressed data."), False),
        (OSError("Couldn't deserialize thrift: TProtocolException: Exceeded size limit"), False),
        (KeyError("user_id"), False),
    ],
)
def test_what_is_a_limit(error, expected):
    assert is_limit(error) == expected


# whatever a file holds


def drain_pairs(path, columns):
    for batch in open_pairs(path).batches(columns):
        assert batch.table.num_rows


def drain_table(path, columns):
    with open_table_file(path, "interactions", "--input") as file:
        for batch in file.batches(columns):
            assert batch.num_rows


@pytest.mark.parametrize("drain", [drain_pairs, drain_table])
def test_no_bytes_lead_to_anything_but_a_documented_error(tmp_path, drain, damaged_parquet):
    path = tmp_path / "pairs.parquet"
    for seed in range(500):
        path.write_bytes(damaged_parquet(seed))
        with suppress(InputError):
            names = open_pairs(path).schema.names
            drain(path, [name for name in ("user_id", "movie_id", "coded", "moment") if name in names])
