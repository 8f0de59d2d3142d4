"""Which columns of a table are user, candidate, rank and score: as flags name them, otherwise by their names."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from batchscore.columns import OFF, RANK, SCORE, USER_ID, ListColumns, WantedColumns, is_id_type, plain_type
from batchscore.errors import InputError, format_list, shorten


def find_columns(path: Path, schema: pa.Schema, wanted: WantedColumns) -> ListColumns:
    """The columns of the lists in a table. A name of `wanted` that the table does not have counts as left out.

    Left out, the user is the column `user_id`, otherwise the first; the candidate is the second column if the user
    is the first, otherwise the only other column of text or integers; rank and score are the columns of these
    names. Nothing is guessed if two columns could be meant. Raises InputError (E-RANKED-FILE), all problems at
    once.
    """
    names = set(schema.names)
    user, candidate, rank, score = (
        name if name in names else None for name in (wanted.user, wanted.candidate, wanted.rank, wanted.score)
    )
    taken = {user, candidate, rank, score}
    rank = rank or _if_free(RANK, names, taken)
    score = None if wanted.score == OFF else score or _if_free(SCORE, names, taken)
    taken |= {rank, score}
    ids = [field.name for field in schema if field.name not in taken and is_id_type(field.type)]
    user = user or _choose_user(schema, ids)
    candidate = candidate or _choose_candidate(schema, [name for name in ids if name != user], user)
    problems = _find_problems(schema, user, candidate, rank, score)
    if problems or user is None or candidate is None:
        raise InputError(
            "E-RANKED-FILE",
            "this is neither an output of a run nor a table of ranked lists",
            where=path,
            found=format_list([f"{shorten(field.name)} {shorten(field.type)}" for field in schema], "no columns"),
            expected="a user and a candidate column (text or integers), and a rank (integers) or a score (numbers)",
            details=problems,
            next_step="name the columns: --user-column, --candidate-column, --rank-column, --score-column",
        )
    return ListColumns(user, candidate, rank, score)


def require_known(wanted: WantedColumns, schemas: list[pa.Schema], paths: list[Path]) -> None:
    """Raise InputError (E-RANKED-FILE) if a column is named that no table has."""
    known = {name for schema in schemas for name in schema.names}
    unknown = [name for name in wanted.names() if name not in known]
    if unknown:
        raise InputError(
            "E-RANKED-FILE",
            f"there is no column {', '.join(map(shorten, unknown))}",
            where=", ".join(map(str, paths)),
            found=format_list([shorten(name) for schema in schemas for name in schema.names], "no columns"),
            next_step="correct --user-column, --candidate-column, --rank-column or --score-column",
        )


def _if_free(name: str, names: set[str], taken: set[str | None]) -> str | None:
    return name if name in names - taken else None


def _choose_user(schema: pa.Schema, ids: list[str]) -> str | None:
    if USER_ID in ids:
        return USER_ID
    return ids[0] if ids and ids[0] == schema.names[0] else None


def _choose_candidate(schema: pa.Schema, others: list[str], user: str | None) -> str | None:
    if len(others) == 1 or (others and user == schema.names[0] and others[0] == schema.names[1]):
        return others[0]
    return None


def _find_problems(
    schema: pa.Schema, user: str | None, candidate: str | None, rank: str | None, score: str | None
) -> list[str]:
    checks = (
        ("user", user, is_id_type, "ids are text or integers"),
        ("candidate", candidate, is_id_type, "ids are text or integers"),
        ("rank", rank, pa.types.is_integer, "ranks are integers"),
        ("score", score, _is_score_type, "scores are numbers"),
    )
    problems = [f"which column is the {role}?" for role, name, *_ in checks[:2] if name is None]
    if rank is None and score is None:
        problems.append("there is neither a rank nor a score to order the lists by")
    for _, name, fits, law in checks:
        if name is not None and schema.names.count(name) > 1:
            problems.append(f"there is more than one column {shorten(name)}")
        elif name is not None and not fits(plain_type(schema.field(name).type)):
            problems.append(f"{shorten(name)} is {shorten(schema.field(name).type)}: {law}")
    return problems


def _is_score_type(type_: pa.DataType) -> bool:
    return bool(pa.types.is_floating(type_) or pa.types.is_integer(type_) or pa.types.is_decimal(type_))
