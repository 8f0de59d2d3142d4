"""What there is to know about a model before it is loaded."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from batchscore.errors import ModelError, reason_of
from batchscore.planning.plan import NotPlanned, Plan
from batchscore.planning.plan_cache import PlanKey, default_cache, read_cached_plan, read_model_plan
from batchscore.planning.plan_file import PLAN_FILE
from batchscore.savedmodel.card import CARD_PATH, ModelCard
from batchscore.savedmodel.chosen import choose_scoring
from batchscore.savedmodel.formats import choose_meta_graph
from batchscore.savedmodel.graph import Graph
from batchscore.savedmodel.model_files import failure_to_read, list_model_files, readable_model
from batchscore.savedmodel.roles import Roles, choose_roles, looks_like_label
from batchscore.savedmodel.safety import require_trusted
from batchscore.savedmodel.saved_model import (
    SavedModel,
    Signature,
    TensorSpec,
    read_meta_graphs,
    read_saved_model,
)
from batchscore.savedmodel.variables_index import Variable, read_variables
from batchscore.savedmodel.versions import list_versions, missing_files
from batchscore.savedmodel.vocabulary import (
    InputVocabulary,
    LookUpTable,
    asset_nodes,
    find_tables,
    find_vocabularies,
)
from batchscore.settings.paths import require_paths


@dataclass(frozen=True)
class Version:
    """A version below the base directory; `missing` is empty if it is complete, or `unreadable` says why not."""

    number: int
    missing: list[str]
    unreadable: str | None = None

    @property
    def complete(self) -> bool:
        """Whether it can be read, and nothing is missing."""
        return not self.missing and self.unreadable is None


@dataclass(frozen=True)
class ScoringChoice:
    """What `run` would score with, and why; if it would refuse, only `refusal`, its message.

    `labels` are inputs that look like what the model was trained on: a run asks for them unless the pairs have such
    a column. `unrepeatable` has the ops that may give a row another score from call to call; loading alone shows
    whether they do.
    """

    signature: str | None = None
    signature_reason: str | None = None
    score_output: str | None = None
    score_output_reason: str | None = None
    roles: Roles | None = None
    labels: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    unrepeatable: tuple[str, ...] = ()
    refusal: str | None = None


@dataclass(frozen=True)
class InspectedPlan:
    """The plan by which `run` would score, and the file; `note` says what there is to say if there is none."""

    plan: Plan | NotPlanned | None
    path: Path | None
    note: str | None


@dataclass(frozen=True)
class Inspection:
    """A SavedModel as its bytes show it. `vocabularies` are those of the inputs of each signature."""

    saved: SavedModel
    versions: list[Version]
    files: int
    bytes: int
    choice: ScoringChoice
    plan: InspectedPlan | None
    tables: list[LookUpTable]
    vocabularies: dict[str, dict[str, InputVocabulary]]
    variables: list[Variable]

    def to_json(self) -> str:
        """The inspection as a JSON document, with fields in this order."""
        return json.dumps(self._plain(), indent=1)

    def _plain(self) -> dict[str, Any]:
        saved = self.saved
        return {
            "schema_version": 1,
            "path": str(saved.path),
            "version": saved.version,
            "chosen": saved.chosen,
            "versions": [
                {
                    "version": item.number,
                    "complete": item.complete,
                    "missing": item.missing,
                    "unreadable": item.unreadable,
                }
                for item in self.versions
            ],
            "fingerprint": saved.fingerprint,
            "files": self.files,
            "bytes": self.bytes,
            "tensorflow_version": saved.tensorflow_version,
            "choice": dataclasses.asdict(self.choice),
            "plan": None if self.plan is None else _plain_plan(self.plan),
            "signatures": {
                name: {
                    "inputs": [
                        _plain_spec(spec) | {"vocabulary": _plain_vocabulary(self.vocabularies[name][spec.name])}
                        for spec in signature.inputs.values()
                    ],
                    "outputs": [_plain_spec(spec) for spec in signature.outputs.values()],
                }
                for name, signature in saved.signatures.items()
            },
            "tables": [_plain_table(table) for table in self.tables],
            "variables": [dataclasses.asdict(variable) for variable in self.variables],
            "card": saved.card.model_dump(mode="json", exclude_none=True) if saved.card else None,
            "hazards": [dataclasses.asdict(hazard) for hazard in saved.hazards],
        }


def inspect_model(
    model: Path,
    version: int | None = None,
    signature: str | None = None,
    score_output: str | None = None,
    *,
    plan_cache: Path | None = None,
) -> Inspection:
    """Look at a SavedModel, or at the chosen version below a base directory, without loading it.

    `signature`, `score_output` and `plan_cache` are what `run` would be told. Raises ModelError if there is
    nothing to look at: E-MODEL-MISSING, E-MODEL-UNREADABLE, E-MODEL-NOT-SAVEDMODEL, E-MODEL-INCOMPLETE,
    E-MODEL-CARD.
    """
    require_paths(model, plan_cache)
    with readable_model(model):
        return _inspect(model, version, signature, score_output, plan_cache)


def _inspect(
    model: Path, version: int | None, signature: str | None, score_output: str | None, plan_cache: Path | None
) -> Inspection:
    saved = read_saved_model(model, version, trust_model=True)
    meta_graph = choose_meta_graph(read_meta_graphs(saved.path), saved.path)
    graph = Graph(meta_graph)
    variables = read_variables(saved.path)
    tables = find_tables(graph, asset_nodes(meta_graph), variables, saved.path)
    files = list_model_files(saved.path)
    choice = _choose(saved, signature, score_output)
    return Inspection(
        saved=saved,
        versions=_versions(model, saved),
        files=len(files),
        bytes=sum(path.stat().st_size for path in files),
        choice=choice,
        plan=_find_plan(saved, choice, plan_cache),
        tables=list(tables.values()),
        vocabularies={name: find_vocabularies(graph, item, tables) for name, item in saved.signatures.items()},
        variables=variables,
    )


def _versions(model: Path, saved: SavedModel) -> list[Version]:
    if saved.version is None:
        return []
    return [_version(model / str(number), number) for number in list_versions(model)]


def _version(path: Path, number: int) -> Version:
    try:
        with readable_model(path):
            return Version(number, missing_files(path))
    except ModelError as error:
        cause = failure_to_read(error)
        if cause is None:
            raise
        return Version(number, [], f"{cause.filename or path} ({reason_of(cause)})")


def _choose(saved: SavedModel, wanted_signature: str | None, wanted_output: str | None) -> ScoringChoice:
    try:
        require_trusted(saved.path, saved.hazards, trust_model=False)
        chosen = choose_scoring(saved, wanted_signature, wanted_output)
    except ModelError as error:
        return ScoringChoice(refusal=str(error))
    card = saved.card if saved.card is not None and saved.card.signature == chosen.signature.name else None
    roles = choose_roles(chosen.signature, card, card.map if card else {}, card.set if card else {})
    return ScoringChoice(
        signature=chosen.signature.name,
        signature_reason=chosen.signature_reason,
        score_output=chosen.score.name,
        score_output_reason=chosen.score_reason,
        roles=roles,
        labels=_labels(chosen.signature, card, roles),
        warnings=chosen.warnings,
        unrepeatable=tuple(map(str, chosen.signature.unrepeatable_ops(chosen.score.outputs))),
    )


def _labels(signature: Signature, card: ModelCard | None, roles: Roles) -> tuple[str, ...]:
    settled = {roles.user_input, roles.candidate_input, *((*card.set, *card.map) if card else ())}
    return tuple(name for name, spec in signature.inputs.items() if name not in settled and looks_like_label(spec))


def _find_plan(saved: SavedModel, choice: ScoringChoice, cache: Path | None) -> InspectedPlan | None:
    """The plan that lies with the model or in the cache; None if `run` would refuse the model."""
    if choice.signature is None or choice.score_output is None or choice.roles is None:
        return None
    if choice.score_output not in saved.signatures[choice.signature].outputs:
        reason = "the score is computed from outputs, and a plan gives one output unchanged"
        return InspectedPlan(NotPlanned(choice.signature, choice.score_output, reason, ""), None, None)
    roles = choice.roles
    key = PlanKey(
        saved.fingerprint, choice.signature, choice.score_output, metadata.version("tensorflow"),
        roles.user_input, roles.candidate_input,
    )  # fmt: skip
    notes = []
    beside = saved.path / CARD_PATH.parent
    try:
        for folder in (beside, key.folder(cache or default_cache())):
            try:
                plan = read_model_plan(folder) if folder == beside else read_cached_plan(folder)
            except ModelError as error:
                notes.append(f"{error.in_one_line()} ({folder / PLAN_FILE})")
                continue
            if plan is not None and (folder != beside or key.fits(plan)):
                return InspectedPlan(plan, folder / PLAN_FILE, "; ".join(notes) or None)
            if plan is not None:
                made_for = f"{plan.score_output} of {plan.signature}, TensorFlow {plan.tensorflow_version}"
                notes.append(f"the plan with the model is for {made_for}")
    except OSError as error:
        notes.append(str(error))
    return InspectedPlan(None, None, "; ".join(notes) or None)


def _plain_plan(found: InspectedPlan) -> dict[str, Any]:
    plan, plain = found.plan, {"path": None if found.path is None else str(found.path), "note": found.note}
    if not isinstance(plan, Plan):
        return plain | {"reason": None if plan is None else plan.reason}
    return plain | {
        "sha256": plan.sha256,
        "tensorflow_version": plan.tensorflow_version,
        "flops_before": plan.flops_before,
        "flops_after": plan.flops_after,
        "parts": [
            {
                "name": part.name,
                "inputs": [item.name for item in part.inputs],
                "kept": [{"dtype": table.dtype, "width": table.width} for table in part.tables],
                "steps": list(part.steps),
            }
            for part in plan.parts
        ],
        "head": {"inputs": [item.name for item in plan.head.inputs], "steps": list(plan.head.steps)},
    }


def _plain_spec(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "dtype": spec.dtype, "shape": spec.shape}


def _plain_vocabulary(vocabulary: InputVocabulary) -> dict[str, Any]:
    table = vocabulary.table
    return {
        "table": table.name if table else None,
        "entries": table.entries if table else None,
        "reason": vocabulary.reason,
    }


def _plain_table(table: LookUpTable) -> dict[str, Any]:
    names = ("name", "op", "key_dtype", "value_dtype", "entries", "filled_from")
    return {name: getattr(table, name) for name in names}
