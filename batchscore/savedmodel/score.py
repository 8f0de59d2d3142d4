"""The score: an output of the signature, or a sum or product of several (`0.7*rating + 0.3*click`)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from batchscore.errors import ModelError
from batchscore.savedmodel.card import ModelCard
from batchscore.savedmodel.saved_model import Signature, TensorSpec, choose_score_output, is_one_value, is_score

_TOKEN = re.compile(r"\s*(?:((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[A-Za-z_][\w.:/]*)|([-+*]))\s*")
_MAX_TERMS = 16
_LARGEST_IN_FLOAT64 = 2**53


@dataclass(frozen=True)
class Term:
    """A product: `factor` times every one of `outputs` (at least one)."""

    factor: float
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Score:
    """What a pair is ranked by. `name` is how it was asked for; `outputs` are those of the signature that it needs.

    `terms` are summed in their order, in float64; without terms the score is its only output as it is. `dtype` is
    that of the result.
    """

    name: str
    outputs: tuple[str, ...]
    dtype: str
    terms: tuple[Term, ...] = ()

    @property
    def ranked_dtype(self) -> np.dtype:
        """The dtype that scores have until they are written, see `exact_dtype`."""
        return exact_dtype(self.dtype)

    def compute(self, results: Mapping[str, np.ndarray], rows: int) -> np.ndarray:
        """The scores, `ranked_dtype` [rows], from the outputs of one call.

        Raises ModelError (E-MODEL-OUTPUT) if an output has not one value per row, or if an expression is given an
        integer that float64 does not hold.
        """
        columns = {name: take_column(name, results[name], rows) for name in self.outputs}
        if not self.terms:
            return columns[self.outputs[0]].astype(self.ranked_dtype, copy=False)
        for name, values in columns.items():
            self._require_exact(name, values)
        with np.errstate(over="ignore", invalid="ignore"):
            total = np.zeros(rows, np.float64)
            for term in self.terms:
                product = np.full(rows, term.factor, np.float64)
                for name in term.outputs:
                    product *= columns[name].astype(np.float64)
                total += product
            return total

    def _require_exact(self, name: str, values: np.ndarray) -> None:
        if exact_dtype(values.dtype.name).kind == "f" or not len(values):
            return
        largest = max(abs(int(values.min())), abs(int(values.max())))
        if largest > _LARGEST_IN_FLOAT64:
            raise ModelError(
                "E-MODEL-OUTPUT",
                f"output {name!r} is too large for the score {self.name!r}, which is computed in float64",
                found=f"{values.dtype} values up to {largest:,}",
                expected=f"whole numbers up to {_LARGEST_IN_FLOAT64:,} (2 ** 53)",
                next_step=f"rank by the output as it is (--score-output {name}), or compute the score in the model",
            )


def exact_dtype(dtype: str) -> np.dtype:
    """The narrowest of float32, float64, int64 and uint64 that holds every value of the score dtype `dtype`."""
    if dtype in ("float16", "bfloat16", "float32", "int8", "int16", "uint8", "uint16"):
        return np.dtype(np.float32)
    if dtype in ("float64", "int32", "uint32"):
        return np.dtype(np.float64)
    return np.dtype(dtype)


def take_column(name: str, values: np.ndarray, rows: int) -> np.ndarray:
    """The values of output `name` as [rows].

    Raises ModelError (E-MODEL-OUTPUT) if it has not one value per row.
    """
    if values.size != rows:
        raise ModelError(
            "E-MODEL-OUTPUT",
            f"output {name!r} is not one score per pair",
            found=f"shape {list(values.shape)} for {rows:,} pairs",
            expected=f"[{rows}] or [{rows}, 1]",
            next_step="choose another output with --score-output",
        )
    return values.reshape(-1)


def kept_type(spec: TensorSpec) -> pa.DataType:
    """The Arrow type of an output in a column: its own, float32 for narrower floats; null if it is no column."""
    if not is_one_value(spec) or not (is_score(spec) or spec.dtype == "bool"):
        return pa.null()
    return pa.float32() if spec.dtype in ("float16", "bfloat16") else pa.type_for_alias(spec.dtype)


def choose_score(
    signature: Signature, wanted: str | None = None, card: ModelCard | None = None
) -> tuple[Score, str]:
    """The score and the reason: the one asked for, the card's, or the only output with one number per pair.

    Raises ModelError (E-MODEL-OUTPUT) if it cannot be told, is no number, or is an expression that is not valid.
    """
    text, reason = wanted, "--score-output"
    if wanted is None and card is not None and card.signature == signature.name:
        text, reason = card.score_output, "model card"
    if text is not None and _is_expression(text, signature):
        return _parse(text, signature, reason), reason
    spec, reason = choose_score_output(signature, wanted, card)
    return Score(spec.name, (spec.name,), spec.dtype), reason


def _is_expression(text: str, signature: Signature) -> bool:
    return text not in signature.outputs and any(sign in text for sign in "+-*")


def _parse(text: str, signature: Signature, reason: str) -> Score:
    try:
        terms = _read_terms(text)
        outputs = tuple(dict.fromkeys(name for term in terms for name in term.outputs))
        for name in outputs:
            _require_score(name, signature)
    except ValueError as error:
        raise ModelError(
            "E-MODEL-OUTPUT",
            f"the score {text!r} ({reason}) cannot be computed from signature {signature.name!r}: {error}",
            found="; ".join(map(str, signature.outputs.values())),
            expected="an output, or a sum or product of outputs and numbers, such as 0.7*rating + 0.3*click",
            next_step="correct --score-output",
        ) from error
    return Score(text, outputs, "float64", terms)


def _read_terms(text: str) -> tuple[Term, ...]:
    """The terms of `[sign] product {sign product}`, a product being numbers and outputs with `*` between them."""
    tokens = _tokenise(text)
    if tokens[0] not in ("+", "-"):
        tokens.insert(0, "+")
    terms: list[Term] = []
    while tokens:
        sign = tokens.pop(0)
        if not _is_sign(sign):
            raise ValueError(f"an operator is missing before {sign!r}")
        operands = [_take_operand(tokens)]
        while tokens and tokens[0] == "*":
            tokens.pop(0)
            operands.append(_take_operand(tokens))
        names = tuple(item for item in operands if not _is_number(item))
        factor = math.prod(float(item) for item in operands if _is_number(item))
        if not names:
            raise ValueError("a number alone changes no rank")
        if not math.isfinite(factor):
            raise ValueError("a factor is not finite")
        terms.append(Term(-factor if sign == "-" else factor, names))
    if len(terms) > _MAX_TERMS:
        raise ValueError(f"more than {_MAX_TERMS} terms")
    return tuple(terms)


def _tokenise(text: str) -> list[str]:
    tokens, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"{text[position:]!r} is neither an output, a number nor one of + - *")
        tokens.append(match[1] or match[2])
        position = match.end()
    return tokens


def _take_operand(tokens: list[str]) -> str:
    if not tokens or _is_sign(tokens[0]):
        raise ValueError(f"an output or a number is missing {f'before {tokens[0]!r}' if tokens else 'at the end'}")
    return tokens.pop(0)


def _is_sign(token: str) -> bool:
    return token in ("+", "-", "*")


def _is_number(token: str) -> bool:
    return token[0].isdigit() or token[0] == "."


def _require_score(name: str, signature: Signature) -> None:
    spec = signature.outputs.get(name)
    if spec is None:
        raise ValueError(f"there is no output {name!r}")
    if not is_one_value(spec) or not is_score(spec):
        raise ValueError(f"output {spec} is not one number per pair")
