"""Rewrites what mixes the sides so that as much as possible is computed on one side.

Two forms of a mixed tensor [n, width] are followed through the graph:

- `_Joined`: it is the concatenation of segments, some of which belong to one side;
- `_Summed`: it is the sum of terms, at most one a side and one that mixes.

A matrix product of a joined tensor is a sum, `[u, c] W = u W_u + c W_c`; a sum stays one through biases, further
sums, factors and, if no term mixes, through the next matrix product. A bias or factor is only taken into the terms
of a sum that nothing else uses: otherwise the parts would have to hold it twice. Where a form ends, the tensor is
put together from its segments or terms again. All weights are slices of the model's own variables, taken in the
graph.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from batchscore.planning.graph.compiled import is_compiled
from batchscore.planning.graph.draft import Draft
from batchscore.planning.graph.facts import Dim, Shape
from batchscore.planning.graph.rowwise import Kind
from batchscore.planning.graph.sides import Sides

_UNARY = frozenset({
    "Abs", "Cast", "Elu", "Erf", "Exp", "Floor", "Identity", "LeakyRelu", "Log", "Log1p", "Neg", "Relu", "Relu6",
    "Selu", "Sigmoid", "Sign", "Softplus", "Softsign", "Sqrt", "Rsqrt", "Square", "StopGradient", "Tanh",
})  # fmt: skip
_BINARY = frozenset({"Add", "AddV2", "Sub", "Mul", "RealDiv", "Maximum", "Minimum", "SquaredDifference"})
_PASSING = frozenset({"Identity", "StopGradient", "PreventGradient", "EnsureShape"})
_BIAS = frozenset({"BiasAdd", "Add", "AddV2", "Sub"})
_HEAD = None


@dataclass(frozen=True)
class _Joined:
    segments: tuple[str, ...]


@dataclass(frozen=True)
class _Summed:
    terms: dict[int | None, str]


class _Rewriter:
    def __init__(self, draft: Draft, sides: Sides, closure: list[str]) -> None:
        self._sides = sides
        self._old = {name: draft.nodes[name] for name in closure}
        self._rest = {name: node for name, node in draft.nodes.items() if name not in self._old}
        self.draft = Draft({}, draft.facts, draft.known)
        self._forms: dict[str, _Joined | _Summed] = {}
        self._same: dict[str, str] = {}
        self._uses = Counter(tensor for node in self._old.values() for tensor in draft.sources(node))

    def run(self, score: str) -> str:
        for name, node in self._old.items():
            tensor = f"{name}:0"
            fact = self.draft.facts[tensor]
            mixed = fact.kind is Kind.ROWS and len(fact.inputs) > 1 and self._home(tensor) is _HEAD
            if not (mixed and self._is_compiled(name) and self._rewrite(name)):
                copy = type(node)()
                copy.CopyFrom(node)
                del copy.input[:]
                copy.input.extend(i if i.startswith("^") else self._value(i) for i in node.input)
                self.draft.nodes[name] = copy
        found = self._value(score)
        self.draft.nodes.update(self._rest)
        return found

    def _is_compiled(self, name: str) -> bool:
        return is_compiled(Draft(self._old, self.draft.facts, self.draft.known), name)

    def _home(self, tensor: str) -> int | None:
        return self._sides.home(self.draft.facts[tensor].inputs)

    def _is_weight(self, tensor: str) -> bool:
        return self.draft.facts[tensor].kind is Kind.WEIGHT

    def _shape(self, tensor: str) -> Shape | None:
        return self.draft.known.shapes.get(tensor)

    def _type(self, tensor: str) -> int:
        return self.draft.known.dtypes[tensor]

    def _value(self, tensor: str) -> str:
        """`tensor` as one tensor of the new graph, put together if it is followed as a form."""
        tensor = self._same.get(tensor, tensor)
        form = self._forms.get(tensor)
        if isinstance(form, _Summed):
            total, *others = form.terms.values()
            for other in others:
                total = self._binary("AddV2", total, other, self._shape(tensor))
            self._same[tensor] = total
            return total
        if isinstance(form, _Joined):
            joined = self._join(form.segments)
            self._same[tensor] = joined
            return joined
        return tensor

    def _join(self, segments: tuple[str, ...]) -> str:
        if len(segments) == 1:
            return segments[0]
        width = sum(self._width(segment) for segment in segments)
        axis = self.draft.add_constant(np.array(1, np.int32))
        return self.draft.add(
            "ConcatV2",
            [*segments, axis],
            (Dim(0, 1), Dim(width)),
            T=self._type(segments[0]),
            Tidx=3,
            N=len(segments),
        )

    def _width(self, tensor: str) -> int:
        width = self.draft.width(tensor)
        if width is None:
            raise AssertionError(tensor)
        return width

    def _binary(self, op: str, left: str, right: str, shape: Shape | None) -> str:
        return self.draft.add(op, [left, right], shape, T=self._type(left))

    def _rewrite(self, name: str) -> bool:
        """Whether output 0 of node `name` is known by another tensor or form from now on."""
        node = self._old[name]
        tensor = f"{name}:0"
        sources = [i for i in node.input if not i.startswith("^")]
        if node.op in _PASSING or (node.op == "Reshape" and self._keeps_shape(sources[0], tensor)):
            return self._pass_on(tensor, sources[0])
        if node.op.startswith("BatchMatMul"):
            return self._dot(name, tensor, sources)
        if self.draft.width(tensor) is None:
            return False
        if node.op == "ConcatV2":
            form: _Joined | _Summed | None = self._concat(sources)
        elif node.op == "MatMul":
            form = self._matmul(name, sources)
        elif node.op in _BIAS and (summed := self._sum(node.op, tensor, sources)):
            form = summed
        elif node.op in ("Mul", "RealDiv") and (scaled := self._scale(node.op, tensor, sources)):
            form = scaled
        else:
            form = self._by_segment(name, sources)
        if form is None:
            return False
        self._forms[tensor] = form
        return True

    def _keeps_shape(self, before: str, after: str) -> bool:
        shape = self._shape(before)
        fact = self.draft.facts[after]
        return shape is not None and None not in shape and shape == self._shape(after) and fact.axis == 0

    def _pass_on(self, tensor: str, source: str) -> bool:
        form = self._forms.get(source)
        if form is None:
            self._same[tensor] = self._value(source)
        else:
            self._forms[tensor] = form
        return True

    def _concat(self, sources: list[str]) -> _Joined | None:
        segments: list[str] = []
        for source in sources[:-1]:
            form = self._forms.get(source)
            segments += form.segments if isinstance(form, _Joined) else (self._value(source),)
        if any(self.draft.width(segment) is None for segment in segments):
            return None
        return _Joined(tuple(segments)) if any(self._home(s) is not _HEAD for s in segments) else None

    def _matmul(self, name: str, sources: list[str]) -> _Summed | None:
        rows, weight = sources
        node, form = self._old[name], self._forms.get(rows)
        transposed = node.attr["transpose_b"].b
        if isinstance(form, _Summed):
            if None in form.terms:
                return None
            return _Summed({home: self._product(name, term, weight) for home, term in form.terms.items()})
        if not isinstance(form, _Joined):
            return None
        parts: dict[int | None, list[tuple[str, str]]] = {}
        start = 0
        for segment in form.segments:
            width = self._width(segment)
            piece = self._cut(weight, start, width, axis=1 if transposed else 0)
            parts.setdefault(self._home(segment), []).append((segment, piece))
            start += width
        terms = {}
        for home, pieces in parts.items():
            values = self._join(tuple(segment for segment, _ in pieces))
            terms[home] = self._product(name, values, self._stack([p for _, p in pieces], axis=int(transposed)))
        return _Summed(terms)

    def _product(self, name: str, rows: str, weight: str) -> str:
        node = self._old[name]
        shape = self._shape(f"{name}:0")
        transposed = node.attr["transpose_b"].b
        return self.draft.add(
            "MatMul", [rows, weight], shape, T=self._type(rows), transpose_a=False, transpose_b=transposed
        )

    def _cut(self, weight: str, start: int, width: int, *, axis: int) -> str:
        """Entries `start` to `start + width` of `weight` along `axis`."""
        shape = self._shape(weight)
        if shape is None:
            raise AssertionError(weight)
        begin, size = np.zeros(len(shape), np.int32), np.full(len(shape), -1, np.int32)
        begin[axis], size[axis] = start, width
        inputs = [weight, self.draft.add_constant(begin), self.draft.add_constant(size)]
        cut = tuple(Dim(width) if position == axis else dim for position, dim in enumerate(shape))
        return self.draft.add("Slice", inputs, cut, T=self._type(weight), Index=3)

    def _stack(self, pieces: list[str], *, axis: int) -> str:
        if len(pieces) == 1:
            return pieces[0]
        at = self.draft.add_constant(np.array(axis, np.int32))
        return self.draft.add("ConcatV2", [*pieces, at], None, T=self._type(pieces[0]), Tidx=3, N=len(pieces))

    def _sum(self, op: str, tensor: str, sources: list[str]) -> _Summed | None:
        left, right = sources
        shape = self._shape(tensor)
        if self._is_weight(right) or (self._is_weight(left) and op != "Sub"):
            rows, weight = (left, right) if self._is_weight(right) else (right, left)
            form = self._forms.get(rows)
            if not isinstance(form, _Summed) or self._shape(rows) != shape or self._uses[rows] > 1:
                return None
            terms = dict(form.terms)
            home = next((home for home in terms if home is not _HEAD), _HEAD)
            terms[home] = self._binary("Sub" if op == "Sub" else "AddV2", terms[home], weight, shape)
            return _Summed(terms)
        if op == "BiasAdd" or self._shape(left) != shape or self._shape(right) != shape:
            return None
        parts = [self._terms(left), self._terms(right)]
        if all(home is _HEAD for terms in parts for home in terms):
            return None
        total = dict(parts[0])
        for home, term in parts[1].items():
            if home in total:
                total[home] = self._binary("Sub" if op == "Sub" else "AddV2", total[home], term, shape)
            elif op == "Sub":
                total[home] = self.draft.add("Neg", [term], shape, T=self._type(term))
            else:
                total[home] = term
        return _Summed(total)

    def _terms(self, tensor: str) -> dict[int | None, str]:
        form = self._forms.get(tensor)
        if isinstance(form, _Summed):
            return form.terms
        value = self._value(tensor)
        return {self._home(value): value}

    def _scale(self, op: str, tensor: str, sources: list[str]) -> _Summed | None:
        left, right = sources
        if op == "Mul" and self._is_weight(left):
            left, right = right, left
        form = self._forms.get(left)
        if not isinstance(form, _Summed) or not self._is_weight(right) or self._shape(left) != self._shape(tensor):
            return None
        if self._uses[left] > 1:
            return None
        shape = self._shape(tensor)
        return _Summed({home: self._binary(op, term, right, shape) for home, term in form.terms.items()})

    def _by_segment(self, name: str, sources: list[str]) -> _Joined | None:
        """An elementwise op on a joined tensor, segment by segment."""
        node = self._old[name]
        if node.op in _UNARY:
            form = self._forms.get(sources[0])
            if not isinstance(form, _Joined):
                return None
            return _Joined(tuple(self._again(name, [segment]) for segment in form.segments))
        if node.op not in _BINARY and node.op != "BiasAdd":
            return None
        layout = next((f for s in sources if isinstance(f := self._forms.get(s), _Joined)), None)
        if layout is None or any(
            self._shape(s) != self._shape(f"{name}:0") for s in sources if not self._is_weight(s)
        ):
            return None
        widths = [self._width(segment) for segment in layout.segments]
        columns = [self._columns(source, widths) for source in sources]
        if any(column is None for column in columns):
            return None
        pieces = [self._again(name, list(inputs)) for inputs in zip(*columns, strict=True)]
        return _Joined(tuple(pieces)) if any(self._home(piece) is not _HEAD for piece in pieces) else None

    def _columns(self, source: str, widths: list[int]) -> list[str] | None:
        """`source` cut into segments of `widths`; None if it is joined otherwise or not at all."""
        form = self._forms.get(source)
        if isinstance(form, _Joined):
            return list(form.segments) if [self._width(s) for s in form.segments] == widths else None
        shape = self._shape(source)
        if not self._is_weight(source) or shape is None or None in shape:
            return None
        if not shape or shape[-1] == Dim(1):
            return [source] * len(widths)
        starts = np.cumsum([0, *widths[:-1]])
        return [
            self._cut(source, int(start), width, axis=len(shape) - 1)
            for start, width in zip(starts, widths, strict=True)
        ]

    def _again(self, name: str, inputs: list[str]) -> str:
        """Node `name` once more, on segments."""
        node = self._old[name]
        width = self._width(next(i for i in inputs if not self._is_weight(i)))
        tensor = self.draft.add(node.op, inputs, (Dim(0, 1), Dim(width)), **dict(node.attr))
        self.draft.known.dtypes[tensor] = self._type(f"{name}:0")
        return tensor

    def _dot(self, name: str, tensor: str, sources: list[str]) -> bool:
        """[n, 1, d] x [n, d, 1], the dot product as Keras writes it, is the sum of a product of [n, d]."""
        node = self._old[name]
        left, right = (self._shape(source) for source in sources)
        facts = [self.draft.facts[source] for source in sources]
        if (
            any(f.kind is not Kind.ROWS or f.axis != 0 or f.per_row != 1 for f in facts)
            or left is None
            or right is None
        ):
            return False
        if node.attr["adj_x"].b or len(left) != 3 or len(right) != 3 or None in left or None in right:  # noqa: PLR2004
            return False
        inner, outer = (2, 1) if node.attr["adj_y"].b else (1, 2)
        if left[1] != Dim(1) or right[outer] != Dim(1) or left[2] != right[inner]:
            return False
        width = left[2].fixed  # type: ignore[union-attr]
        first, second = [
            self._reshape(self._value(source), (Dim(0, 1), Dim(width)), [-1, width]) for source in sources
        ]
        product = self._binary("Mul", first, second, (Dim(0, 1), Dim(width)))
        axis = self.draft.add_constant(np.array([1], np.int32))
        total = self.draft.add(
            "Sum", [product, axis], (Dim(0, 1), Dim(1)), T=self._type(product), Tidx=3, keep_dims=True
        )
        self._same[tensor] = self._reshape(total, (Dim(0, 1), Dim(1), Dim(1)), [-1, 1, 1])
        return True

    def _reshape(self, tensor: str, shape: Shape, sizes: list[int]) -> str:
        wanted = self.draft.add_constant(np.array(sizes, np.int32))
        return self.draft.add("Reshape", [tensor, wanted], shape, T=self._type(tensor), Tshape=3)


def factorise(draft: Draft, sides: Sides, score: str) -> tuple[Draft, str]:
    """The rewritten graph and the name of `score` in it. Values are equal up to the rounding of float sums."""
    rewriter = _Rewriter(draft, sides, draft.closure(score))
    return rewriter.draft, rewriter.run(score)
