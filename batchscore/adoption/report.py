"""What an adoption did."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass


@dataclass(frozen=True)
class AdoptionReport:
    """What was published, and what the card says about it.

    `probe_origin` tells where the probe rows come from, `unknown_ids` for each role how a run will tell them,
    `why_not_planned` why no plan was left with the model (None: there is one).
    """

    source: str
    model_path: str
    model_version: int
    model_fingerprint: str
    signature: str
    score_output: str
    user_input: str | None
    candidate_input: str | None
    map: dict[str, str]
    set: dict[str, str]
    fill: dict[str, str]
    probe_rows: int
    probe_origin: str
    unknown_ids: dict[str, str]
    why_not_planned: str | None
    warnings: list[str]
    schema_version: int = 1

    def to_json(self) -> str:
        """The report as a JSON document."""
        return json.dumps(dataclasses.asdict(self), indent=1)

    def summary(self) -> str:
        """One line for people."""
        return (
            f"published model {self.model_version}: signature {self.signature}, score {self.score_output}, "
            f"user {self.user_input}, candidate {self.candidate_input}, "
            f"{self.probe_rows} probe rows ({self.probe_origin}), "
            f"{'with a plan' if self.why_not_planned is None else f'no plan: {self.why_not_planned}'}"
        )
