"""What `--keep` and `--keep-output` carry into the output beside user, candidate, score and rank."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pyarrow as pa

from batchscore.columns import is_text, plain_type
from batchscore.errors import UsageError, did_you_mean, format_list, shorten
from batchscore.savedmodel.saved_model import Signature
from batchscore.savedmodel.score import kept_type
from batchscore.settings.run import RunSettings


def format_columns(columns: Mapping[str, pa.DataType]) -> str:
    """Columns with their types, for a message."""
    return format_list(f"{shorten(name)} {shorten(type_)}" for name, type_ in columns.items())


def keep_columns(
    settings: RunSettings, columns: Mapping[str, pa.DataType], taken: Collection[str]
) -> list[pa.Field]:
    """The columns that `--keep` carries into the output, whose own columns are `taken`. UsageError (E-KEEP)."""
    problems = []
    for name, column in settings.keep.items():
        if name in taken:
            problems.append(f"{name!r} is a column of the output already; rename with --keep other_name={column}")
        if column not in columns:
            problems.append(f"the pairs have no column {column!r}{did_you_mean(column, columns)}")
        elif not _keepable(plain_type(columns[column])):
            problems.append(f"column {column!r} is {shorten(columns[column])}, which cannot be kept")
    if problems:
        raise UsageError(
            "E-KEEP",
            "kept columns do not fit",
            where=settings.input,
            found=f"columns {format_columns(columns)}",
            expected="columns of text, integers, float32, float64, bool, date32, timestamps or decimal128",
            details=problems,
            next_step="correct --keep",
        )
    return [pa.field(name, columns[column]) for name, column in settings.keep.items()]


def keep_outputs(keep: Mapping[str, str], signature: Signature, taken: Collection[str]) -> list[pa.Field]:
    """The columns of the outputs of the model that `--keep-output` carries along. UsageError (E-KEEP)."""
    problems = []
    for name, output in keep.items():
        if name in taken:
            problems.append(
                f"{name!r} is a column of the output already; rename with --keep-output other_name={output}"
            )
        if output not in signature.outputs:
            problems.append(f"the model has no output {output!r}{did_you_mean(output, signature.outputs)}")
        elif pa.types.is_null(kept_type(signature.outputs[output])):
            problems.append(f"output {signature.outputs[output]} is not one number per pair")
    if problems:
        raise UsageError(
            "E-KEEP",
            "kept outputs do not fit",
            found="; ".join(map(str, signature.outputs.values())),
            details=problems,
            next_step="correct --keep-output",
        )
    return [pa.field(name, kept_type(signature.outputs[output])) for name, output in keep.items()]


def _keepable(type_: pa.DataType) -> bool:
    types = pa.types
    if types.is_decimal128(type_):
        return bool(type_.scale >= 0)  # polars has no other
    plain = (types.is_integer, types.is_float32, types.is_float64, types.is_boolean, types.is_date32)
    return any(is_type(type_) for is_type in (*plain, is_text, types.is_timestamp))
