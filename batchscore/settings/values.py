"""How values of settings are spelled, in flags and in TOML. Each function raises ValueError with what to write."""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PositiveInt

from batchscore.settings.limits import Limit
from batchscore.settings.paths import require_no_pattern, require_usable


def _assignments(value: object) -> object:
    """`["a=b"]` from the command line as `{"a": "b"}`; a TOML table as it stands."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, (list, tuple)):
        return value
    pairs: dict[str, str] = {}
    for item in value:
        name, equals, rest = str(item).partition("=")
        if not equals or not name:
            raise ValueError(f"{item!r} is not of the form name=value")
        if name in pairs:
            raise ValueError(f"{name!r} is given twice")
        pairs[name] = rest
    return pairs


def _keep(value: object) -> object:
    """`["title", "retrieval_score=score"]` as `{"title": "title", "retrieval_score": "score"}`; `"title"` too."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, (list, tuple)):
        return _assignments([item if "=" in str(item) else f"{item}={item}" for item in value])
    return value


def _toml_scalars(value: object) -> object:
    """TOML constants (numbers, booleans) as the text that a flag would carry."""
    if isinstance(value, Mapping):
        return {key: str(item).lower() if isinstance(item, bool) else str(item) for key, item in value.items()}
    return value


def tabular(path: Path) -> Path:
    require_usable(path)
    require_no_pattern(path)
    if path.suffix.lower() not in {".parquet", ".csv"}:
        raise ValueError(f"{path.name} is neither .parquet nor .csv")
    return path


def share(limit: Limit) -> Limit:
    if limit.count is not None:
        raise ValueError(f"{limit.text!r} is not a share: write 95% or off")
    return limit


def score_shift(value: object) -> object:
    """A score of at least 0, `tolerance` or `off`."""
    text = str(value).strip().lower()
    if text in ("tolerance", "off"):
        return text
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if isinstance(value, bool) or not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{value!r} is not a score shift: write a number from 0 on, tolerance or off")
    return number


def require_number(name: str, text: str, *, whole: bool) -> None:
    """ValueError if `text` spells no finite number, or no whole one of int64."""
    try:
        number = int(text) if whole else float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or (whole and abs(number) >= 2**63):
        raise ValueError(f"set: {name}: {text!r} is no {'whole ' if whole else ''}number")


def input_name(name: str) -> str:
    """A column that becomes an input of the exported signature: TensorFlow renames or refuses other names."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or keyword.iskeyword(name) or name == "self":
        raise ValueError(
            f"{name!r} cannot name an input of a SavedModel: letters, digits and _ only, a letter first; "
            "rename the column"
        )
    from batchscore.columns import RANK, SCORE  # noqa: PLC0415 - it loads pyarrow, which `run --help` does without

    if name in (SCORE, RANK):
        raise ValueError(f"{name!r} would clash with the output column of that name; rename the column")
    return name


def job_name(name: str) -> str:
    """A name that records of a job begin with in the state folder."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", name):
        raise ValueError(f"{name!r} cannot name a job: at most 100 letters, digits, _, - and ., no - or . first")
    return name


def _comma_separated(value: object) -> object:
    """`("5,10", "20")` from the command line, `"5,10"` or 10 as a list; a TOML array as it stands."""
    if isinstance(value, (str, int)):
        value = [value]
    if not isinstance(value, (list, tuple)):
        return value
    parts = [part for item in value for part in (item.split(",") if isinstance(item, str) else [item])]
    return [part for part in parts if not isinstance(part, str) or part.strip()]


def _ascending(cutoffs: tuple[int, ...]) -> tuple[int, ...]:
    if not cutoffs:
        raise ValueError("give at least one rank, such as 10")
    return tuple(sorted(set(cutoffs)))


def _bytes(value: object) -> object:
    """`4GB`, `512MiB` or a number of bytes as a number of bytes."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d+)\s*(?:([KMGT])(i?)B)?", value.strip(), re.IGNORECASE)
    if match is None:
        raise ValueError(f"{value!r} is not an amount of memory: write 4GB, 512MiB or a number of bytes")
    number, unit, binary = match.groups()
    return int(number) * (1024 if binary else 1000) ** (" KMGT".index(unit.upper()) if unit else 0)


JobName = Annotated[str, AfterValidator(job_name)]
InputColumn = Annotated[str, AfterValidator(input_name)]
Widths = Annotated[tuple[PositiveInt, ...], BeforeValidator(_comma_separated)]
Cutoffs = Annotated[tuple[PositiveInt, ...], BeforeValidator(_comma_separated), AfterValidator(_ascending)]
Bytes = Annotated[PositiveInt, BeforeValidator(_bytes)]
ColumnMap = Annotated[dict[str, str], BeforeValidator(_assignments)]
Constants = Annotated[dict[str, str], BeforeValidator(_toml_scalars), BeforeValidator(_assignments)]
KeptColumns = Annotated[dict[str, str], BeforeValidator(_keep)]
