"""What an adoption did."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass


@dataclass(frozen=True)
class AdoptionReport:
    """What was published, and what the card says about it."""

    source: str
    """The SavedModel that was adopted."""
    model_path: str
    """Where it was published."""
    model_version: int
    """Its version."""
    model_fingerprint: str
    """Its fingerprint."""
    signature: str
    """The signature that a run scores."""
    score_output: str
    """The score."""
    user_input: str | None
    """The input that takes the user's id; null if none does."""
    candidate_input: str | None
    """The input that takes the candidate's id; null if none does."""
    map: dict[str, str]
    """Columns by input, which the card remembers."""
    set: dict[str, str]
    """Constants by input, which the card remembers."""
    fill: dict[str, str]
    """Fills by input, which the card remembers."""
    probe_rows: int
    """Probe rows of the card."""
    probe_origin: str
    """Where they come from."""
    unknown_ids: dict[str, str]
    """By role: how a run tells which ids the model knows."""
    no_plan_reason: str | None
    """Why no plan was left with it; null: there is one."""
    warnings: list[str]
    """Every warning of the log."""
    schema_version: int = 1
    """The version of this form."""

    def to_json(self) -> str:
        """The report as a JSON document."""
        return json.dumps(dataclasses.asdict(self), indent=1)

    def summary(self) -> str:
        """One line for people."""
        return (
            f"published model {self.model_version}: signature {self.signature}, score {self.score_output}, "
            f"user {self.user_input}, candidate {self.candidate_input}, "
            f"{self.probe_rows} probe rows ({self.probe_origin}), "
            f"{'with a plan' if self.no_plan_reason is None else f'no plan: {self.no_plan_reason}'}"
        )
