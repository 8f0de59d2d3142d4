"""An inspection in words, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from batchscore.inspection.inspection import Inspection, Version
from batchscore.planning.plan import Plan
from batchscore.savedmodel.card import CARD_PATH, ModelCard
from batchscore.savedmodel.vocabulary import InputVocabulary

_LISTED = 20
_NO_INPUT = InputVocabulary(None, "the model has no input for it")
_KIB = 1024


def describe_inspection(inspection: Inspection) -> str:
    """The text that `batchscore inspect` prints: one section for each thing to know, blank lines between them."""
    sections = (_model, _choice, _plan, _signatures, _tables, _variables, _card, _safety)
    return "\n\n".join("\n".join(lines) for section in sections if (lines := list(section(inspection))))


def _model(inspection: Inspection) -> Iterator[str]:
    saved = inspection.saved
    yield f"{saved.label} at {saved.path}"
    yield f"  chosen       {saved.chosen}"
    yield f"  fingerprint  {saved.fingerprint}"
    yield f"  size         {_format_bytes(inspection.bytes)} in {inspection.files:,} files"
    yield f"  written by   TensorFlow {saved.tensorflow_version or 'of an unknown version'}"
    for item in inspection.versions[:_LISTED]:
        yield f"  version {item.number:<4} {_state(item)}"
    yield from _more(inspection.versions, "versions")


def _state(version: Version) -> str:
    if version.unreadable is not None:
        return f"cannot be read: {version.unreadable}"
    return f"incomplete: {', '.join(version.missing[:3])}" if version.missing else "complete"


def _choice(inspection: Inspection) -> Iterator[str]:
    choice = inspection.choice
    if choice.refusal is not None or choice.roles is None:
        yield "run would refuse this model"
        yield from (f"  {line}" for line in (choice.refusal or "").splitlines())
        return
    roles = choice.roles
    yield "run would score with"
    yield f"  signature    {choice.signature} ({choice.signature_reason})"
    yield f"  score        {choice.score_output} ({choice.score_output_reason})"
    yield f"  user         {roles.user_input or '-'} ({roles.user_reason})"
    yield f"  candidate    {roles.candidate_input or '-'} ({roles.candidate_reason})"
    if inspection.saved.card is None and choice.signature is not None:
        vocabularies = inspection.vocabularies[choice.signature]
        for role, name in (("user", roles.user_input), ("candidate", roles.candidate_input)):
            told = (
                "not counted: the model has no input for it"
                if name is None
                else _format_known_by(vocabularies[name])
            )
            yield f"  unknown ids  {role}: {told}"
    for name in choice.labels:
        yield f"  label?       {name}: unless the pairs have it, give `run` or `adopt` --set {name}=0"
    yield from (f"  warning      {warning}" for warning in choice.warnings)
    yield from (f"  may vary     {op}" for op in choice.unrepeatable)


def _plan(inspection: Inspection) -> Iterator[str]:
    found = inspection.plan
    if found is None:
        return
    if isinstance(found.plan, Plan):
        yield from _format_plan(found.plan)
        yield f"  sha256       {found.plan.sha256}"
        yield f"  kept in      {found.path}"
    elif found.plan is not None:
        yield f"no plan: {found.plan.reason}"
    else:
        yield "no plan yet: `batchscore adopt` adds one to the model, and a large `run` makes one"
    if found.note:
        yield f"  note         {found.note}"


def _format_plan(plan: Plan) -> Iterator[str]:
    share = plan.flops_after / max(plan.flops_before, 1)
    yield f"plan: {plan.flops_after:,} FLOPs per pair instead of {plan.flops_before:,} ({share:.0%})"
    for part in plan.parts:
        what = part.name if part.name in ("user", "candidate") else "tuple"
        kept = ", ".join(f"{table.dtype} [{table.width}]" for table in part.tables)
        often = " (at most once per pair)" if len(part.inputs) > 1 else ""
        yield (
            f"  once per {what}, by distinct {' and '.join(item.name for item in part.inputs)}{often}; kept: {kept}"
        )
        yield from (f"    {step}" for step in part.steps)
    fed = f", with {' and '.join(item.name for item in plan.head.inputs)}" if plan.head.inputs else ""
    yield f"  once per pair{fed}"
    yield from (f"    {step}" for step in plan.head.steps)


def _signatures(inspection: Inspection) -> Iterator[str]:
    chosen, signatures = inspection.choice.signature, inspection.saved.signatures
    for index, name in enumerate(sorted(signatures, key=lambda name: (name != chosen, name))):
        signature, vocabularies = signatures[name], inspection.vocabularies[name]
        if index:
            yield ""
        yield f"signature {name}"
        width = max((len(str(spec)) for spec in signature.inputs.values()), default=0)
        for spec in signature.inputs.values():
            yield f"  in   {spec!s:<{width}}  {_format_vocabulary(vocabularies[spec.name])}"
        for spec in signature.outputs.values():
            yield f"  out  {spec}"


def _tables(inspection: Inspection) -> Iterator[str]:
    if inspection.tables:
        yield "look-up tables"
    for table in inspection.tables[:_LISTED]:
        size = "unknown size" if table.entries is None else f"{table.entries:,} entries from {table.filled_from}"
        yield f"  {table.key_dtype} to {table.value_dtype}, {size} ({table.op} {table.name!r})"
    yield from _more(inspection.tables, "tables")


def _variables(inspection: Inspection) -> Iterator[str]:
    if not inspection.variables:
        yield "no variables"
        return
    total = sum(variable.bytes for variable in inspection.variables)
    yield f"variables: {len(inspection.variables):,}, {_format_bytes(total)}"
    largest = sorted(inspection.variables, key=lambda variable: -variable.bytes)
    width = max(len(variable.name) for variable in largest[:_LISTED])
    for variable in largest[:_LISTED]:
        yield f"  {variable.name:<{width}}  {variable.dtype} {list(variable.shape)}"
    yield from _more(largest, "variables")


def _card(inspection: Inspection) -> Iterator[str]:
    card = inspection.saved.card
    if card is None:
        yield "no model card: `batchscore adopt` writes one"
        return
    yield f"card {CARD_PATH.as_posix()}"
    yield f"  probe rows   {len(card.probes.scores)}"
    yield f"  made with    {', '.join(f'{name} {version}' for name, version in card.made_with.items()) or '-'}"
    yield f"  unknown ids  {_format_known(card)}"
    if card.map:
        yield f"  columns      {', '.join(f'{name} <- {column}' for name, column in card.map.items())}"
    if card.fill:
        yield f"  for nulls    {', '.join(f'{name} = {text}' for name, text in card.fill.items())}"
    if card.set:
        yield f"  constants    {', '.join(f'{name} = {text}' for name, text in card.set.items())}"


def _safety(inspection: Inspection) -> Iterator[str]:
    hazards = inspection.saved.hazards
    if not hazards:
        yield "safety: it only computes"
        return
    yield "safety: it does more than compute, and is loaded only by `run --trust-model`"
    yield from (f"  {hazard}" for hazard in hazards[:_LISTED])
    yield from _more(hazards, "ops")


def _format_vocabulary(vocabulary: InputVocabulary) -> str:
    if vocabulary.table is None:
        return vocabulary.reason
    entries = vocabulary.table.entries
    return "known ids, number unknown" if entries is None else f"{entries:,} known ids"


def _format_known(card: ModelCard) -> str:
    if card.known is not None:
        return f"counted by signature {card.known.signature}"
    tables = card.known_tables
    roles = [name for name in ("user", "candidate") if tables is not None and getattr(tables, name) is not None]
    return f"counted by look-up tables of {' and '.join(roles)}" if roles else "not counted"


def _format_bytes(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if count < _KIB:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= _KIB
    return f"{count:,.1f} GiB"


def _more(items: Sequence[object], name: str) -> Iterator[str]:
    if len(items) > _LISTED:
        yield f"  and {len(items) - _LISTED:,} more {name}"


def _format_known_by(vocabulary: InputVocabulary) -> str:
    """How a run would tell unknown ids of this input."""
    if vocabulary.table is None:
        return f"not counted: {vocabulary.reason}"
    entries = vocabulary.table.entries
    return f"counted by a look-up table{'' if entries is None else f' of {entries:,} ids'}"
