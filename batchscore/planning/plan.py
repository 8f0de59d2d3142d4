"""A plan: how a model is scored by computing each tensor once per distinct input that it depends on.

Made by `planning`, read here without TensorFlow. The plan's graph holds no weights: it is imported into the session
of the model, whose variables and look-up tables it names.

A run with a plan goes so. For each part, find the distinct tuples of the values of its inputs and run the part on
them: that gives its tables, one row a tuple. Then call the head, `call_rows` pairs at a time: feed the tables, for
each pair the number of its row in the tables of each part, and the values of the inputs that are fed pair by pair.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter

PLANNER_VERSION = 2
"""Goes up whenever plans change in form or in values; a plan of another version is not used."""

MAX_GRAPH_BYTES = 16 * 2**20
"""More than a plan's graph holds: the planner gives up on a larger one."""

_STRICT = ConfigDict(strict=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")
_MAX_INPUTS = 4096
_MAX_CALL_ROWS = 2**20
_MAX_WIDTH = 2**16

Name = Annotated[str, Field(min_length=1, max_length=4096)]
Tensor = Annotated[str, Field(pattern=r"^batchscore/[^:\s^]+:\d{1,3}$", max_length=4096)]
Dtype = Annotated[str, Field(pattern=r"^[a-z0-9]+$", max_length=16)]
Rows = Annotated[int, Field(ge=1, le=_MAX_CALL_ROWS)]
Flops = Annotated[int, Field(ge=0, lt=2**63)]


@dataclass(frozen=True)
class PlanInput:
    """A signature input, and the tensor to feed it to: shape [m] for rank 1, [m, 1] for rank 2."""

    __pydantic_config__ = _STRICT

    name: Name
    tensor: Tensor
    dtype: Dtype
    rank: Annotated[int, Field(ge=1, le=2)]


@dataclass(frozen=True)
class PlanTable:
    """A table of a part: tensor `output` [m, width] of the part is fed to the head as `feed`.

    The head takes a table of any number of rows, and is compiled once for each combination of numbers of rows: keep
    them to a few sizes (rows that no pair points at may hold anything).
    """

    __pydantic_config__ = _STRICT

    output: Tensor
    feed: Tensor
    dtype: Dtype
    width: Annotated[int, Field(ge=1, le=_MAX_WIDTH)]


@dataclass(frozen=True)
class Part:
    """What is computed once per distinct tuple of `inputs`: all `tables` in one call, for m >= 1 rows.

    `rows_feed` is the head's int32 [call_rows]: for each pair its row in the tables. `steps` say what is computed.
    """

    __pydantic_config__ = _STRICT

    name: Name
    inputs: Annotated[tuple[PlanInput, ...], Field(min_length=1, max_length=_MAX_INPUTS)]
    tables: Annotated[tuple[PlanTable, ...], Field(min_length=1, max_length=_MAX_INPUTS)]
    rows_feed: Tensor
    steps: tuple[str, ...]


@dataclass(frozen=True)
class Head:
    """What is computed once per pair: tensor `output` [call_rows], XLA-compiled at its first call.

    `blocks_feed`, int32 [], is the number of blocks of `block_rows` rows that hold pairs: no others are computed,
    and the scores behind them are 0. `inputs` are fed pair by pair, each [call_rows] or [call_rows, 1].
    """

    __pydantic_config__ = _STRICT

    output: Tensor
    dtype: Dtype
    call_rows: Rows
    block_rows: Rows
    blocks_feed: Tensor
    inputs: Annotated[tuple[PlanInput, ...], Field(max_length=_MAX_INPUTS)]
    steps: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """`graph` is a serialised GraphDef; all its names begin with `batchscore/`, its functions with `batchscore_`.

    FLOPs are those of one pair: with the signature, and with the head alone.
    """

    __pydantic_config__ = _STRICT

    signature: Name
    score_output: Name
    parts: Annotated[tuple[Part, ...], Field(min_length=1, max_length=_MAX_INPUTS)]
    head: Head
    flops_before: Flops
    flops_after: Flops
    tensorflow_version: Name
    graph: Annotated[bytes, Field(max_length=MAX_GRAPH_BYTES)]

    @cached_property
    def sha256(self) -> str:
        """SHA-256 (hex) of all that the plan says: with the model's fingerprint it says what scores a pair."""
        return hashlib.sha256(TypeAdapter(Plan).dump_json(self)).hexdigest()


@dataclass(frozen=True)
class NotPlanned:
    """Why the signature is run as it is: the reason names the node and the op."""

    __pydantic_config__ = _STRICT

    signature: Name
    score_output: Name
    reason: str
    tensorflow_version: Name

    @cached_property
    def sha256(self) -> str:
        """SHA-256 (hex) of all that it says."""
        return hashlib.sha256(TypeAdapter(NotPlanned).dump_json(self)).hexdigest()
