"""The model card for the job: `assets.extra/batchscore.json` inside a SavedModel.

It tells the run what the SavedModel itself cannot: which input is the user and which the candidate, which output
is the score, and a few probe rows with the scores they had when the model was exported. `train` writes it for its
models, `adopt` for anybody else's; the schema is `ModelCard`, and any trainer may write it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from batchscore.errors import ModelError

CARD_PATH = Path("assets.extra") / "batchscore.json"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class KnownSignature(_Part):
    """A signature that tells for ids, each `[n]`, whether they are in the vocabulary (bool, `[n]`)."""

    signature: str
    user_output: str
    candidate_output: str


class Probes(_Part):
    """Rows with the scores (float32) that the model gave for them when it was exported.

    `inputs` has a list of equal length for every input of the signature.
    """

    inputs: dict[str, list[Any]]
    scores: list[float]


class FileEntry(_Part):
    """A file of the SavedModel, relative to its directory, with its size in bytes."""

    path: str
    bytes: int


class ModelCard(_Part):
    """What a SavedModel means to the ranking job."""

    schema_version: Literal[1] = 1
    signature: str
    score_output: str
    user_input: str
    candidate_input: str
    probes: Probes
    known: KnownSignature | None = None
    files: list[FileEntry] = Field(default_factory=list)
    """Every file but the card itself: a copy that stopped half-way is recognised by it."""
    made_with: dict[str, str] = Field(default_factory=dict)
    """Name and version of the libraries that exported the model."""
    training: dict[str, Any] = Field(default_factory=dict)
    """What the trainer wants to tell: data, recipe, metrics. Not read by the run."""


def read_card(model: Path) -> ModelCard | None:
    """The card of the SavedModel directory `model`, or None where it has none.

    Raises ModelError (E-MODEL-CARD) where the file is no valid card.
    """
    path = model / CARD_PATH
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelError(
            "E-MODEL-CARD",
            f"the model card cannot be read: {error.strerror}",
            where=path,
            next_step="check its permissions",
        ) from error
    try:
        return ModelCard.model_validate_json(text)
    except ValidationError as error:
        raise ModelError(
            "E-MODEL-CARD",
            "the model card is not valid",
            where=path,
            details=[f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()],
            next_step="export the model again",
        ) from error


def write_card(model: Path, card: ModelCard) -> None:
    """Write `card` into the SavedModel directory `model`, which is not published yet."""
    path = model / CARD_PATH
    path.parent.mkdir(exist_ok=True)
    path.write_text(card.model_dump_json(indent=1, exclude_none=True) + "\n", encoding="utf-8")
