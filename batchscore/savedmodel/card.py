"""The model card for the job: `assets.extra/batchscore.json` inside a SavedModel.

It tells the run what the SavedModel itself cannot: which input is the user and which the candidate, which output
is the score, and a few probe rows with the scores they had when the model was exported. `train` writes it for its
models, `adopt` for any other model's, and any trainer may write it:

    {
      "schema_version": 1,
      "signature": "serving_default",
      "score_output": "score",                    an output of one number per pair, or 0.7*rating + 0.3*click
      "user_input": "user_id",                    the input that takes the user's id; left out: the model has none
      "candidate_input": "movie_id",              the same for the candidate's
      "map": {"uid": "user_id"},                  input -> column of the pairs; left out: the column of its name
      "set": {"user_rating": "0"},                input -> the constant that it is fed, as text
      "fill": {"age": "35"},                      input -> what stands for a null in its column, as text
      "lists": {"genres": "|"},                   input of several values in one text -> what stands between them
      "probes": {
        "inputs": {"user_id": ["7", "8"], "movie_id": ["1", "2"]},      a list for every input of the signature
        "scores": [3.52, 4.11]                                          as the model gave them
      },
      "known": {"signature": "known", "user_output": "user_known", "candidate_output": "candidate_known"},
      "known_tables": {"user": {"shared_name": "17", "op": "HashTableV2", "key_dtype": "string",
                                "value_dtype": "int64", "entries": 943}},
      "files": [{"path": "saved_model.pb", "bytes": 48213, "sha256": "9f86..."}],      every file but card and plan
      "made_with": {"tensorflow": "2.21.0"},
      "training": {},                                                   whatever the trainer wants to tell
      "sha256": "60303..."                                              of all the rest, see `digest_card`
    }

Only `signature`, `score_output` and `probes` (one row or more) are required; the more it says, the more is checked.
A flag of `run` wins over the card. Keys that this version does not know are refused, so that a misspelt one is
noticed; a key that changes the meaning of others would raise `schema_version`. Each `sha256` may be left out; if
one is given and is not right, the model is damaged, and no one loads it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, ValidationError

from batchscore.errors import ModelError, reason_of
from batchscore.savedmodel.fingerprint import digest_files
from batchscore.savedmodel.model_files import reading_fails, unreadable
from batchscore.system.durable import write_whole
from batchscore.system.json_document import JsonDocument
from batchscore.system.regular_files import read_regular

CARD_PATH = Path("assets.extra") / "batchscore.json"


class _Part(JsonDocument):
    model_config = ConfigDict(frozen=True)


class KnownSignature(_Part):
    """A signature that tells for ids, each `[n]`, whether they are in the vocabulary (bool, `[n]`)."""

    signature: str
    user_output: str
    candidate_output: str


class KnownTable(_Part):
    """A look-up table of the model that holds the ids of one role, found in the model's session by its name.

    `shared_name` and `op` (`HashTableV2`, `MutableHashTableV2`, ...) are those of the node that makes it. An id is
    known if it is a key of the table, integers written as decimal text where the keys are text. `entries` is the
    number of keys where it could be told.
    """

    shared_name: str
    op: str
    key_dtype: str
    value_dtype: str
    entries: int | None = None


class KnownTables(_Part):
    """The tables that know users and candidates; None if there is none."""

    user: KnownTable | None = None
    candidate: KnownTable | None = None


class Probes(_Part):
    """Rows with the scores that the model gave for them when it was exported.

    `inputs` has a list of equal length for every input of the signature.
    """

    inputs: dict[str, list[Any]]
    scores: list[float]


def _require_inside(path: str) -> str:
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or "\0" in path:
        raise ValueError("must name a file inside the model's directory")
    return path


class FileEntry(_Part):
    """A file of the SavedModel, relative to its directory, with its size in bytes and its SHA-256 (hex)."""

    path: Annotated[str, AfterValidator(_require_inside)]
    bytes: int
    sha256: str | None = None


class ModelCard(_Part):
    """What a SavedModel means to the ranking job."""

    schema_version: Literal[1] = 1
    signature: str
    score_output: str
    user_input: str | None = None
    candidate_input: str | None = None
    map: dict[str, str] = Field(default_factory=dict)
    """Inputs that are fed from a column of another name."""
    set: dict[str, str] = Field(default_factory=dict)
    """Inputs that are fed a constant."""
    fill: dict[str, str] = Field(default_factory=dict)
    """Inputs whose nulls are replaced, as they were in training."""
    lists: dict[str, str] = Field(default_factory=dict)
    """Inputs of text that holds several values, and what stands between them."""
    probes: Probes
    known: KnownSignature | None = None
    known_tables: KnownTables | None = None
    """If there is no `known` signature: tables that the ids are looked up in."""
    files: list[FileEntry] = Field(default_factory=list)
    """Every file but the card itself and a plan: a damaged copy, or one that stopped half-way, is known by it."""
    made_with: dict[str, str] = Field(default_factory=dict)
    """Name and version of the libraries that exported the model."""
    training: dict[str, Any] = Field(default_factory=dict)
    """What the trainer wants to tell: data, recipe, metrics. Not read by the run."""
    sha256: str | None = None
    """Of the rest of the card, in its file; None once it has been read and found right."""


def read_card(model: Path) -> ModelCard | None:
    """The card of the SavedModel directory `model`, or None if it has none.

    Raises ModelError: E-MODEL-CARD if the file is no valid card, E-MODEL-UNREADABLE if it may not be read,
    E-MODEL-DAMAGED if it was changed since it was written.
    """
    path = model / CARD_PATH
    try:
        text = read_regular(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        if reading_fails(error):
            raise unreadable(error, path) from error
        raise ModelError(
            "E-MODEL-CARD",
            f"the model card cannot be read: {reason_of(error)}",
            where=path,
            next_step="copy or export the model again",
        ) from error
    try:
        card = ModelCard.model_validate_json(text)
    except ValidationError as error:
        raise ModelError(
            "E-MODEL-CARD",
            "the model card is not valid",
            where=path,
            details=[
                f"{'.'.join(map(str, item['loc'])) or 'the whole card'}: {item['msg']}" for item in error.errors()
            ],
            next_step="export the model again",
        ) from error
    if card.sha256 is not None and card.sha256 != (found := digest_card(card)):
        raise ModelError(
            "E-MODEL-DAMAGED",
            "the model card was changed after it was written",
            where=path,
            found=f"SHA-256 {found}",
            expected=f"SHA-256 {card.sha256}, as the card itself says",
            next_step="copy or export the model again; if the card was changed on purpose, delete its sha256",
        )
    return card.model_copy(update={"sha256": None})


def digest_card(card: ModelCard) -> str:
    """SHA-256 (hex) of what the card says: compact JSON with sorted keys, without nulls and its own `sha256`.

    Keys that the card does not have do not count: a card stays valid when later versions know more of them.
    """
    said = card.model_dump(mode="json", exclude_none=True, exclude_unset=True, exclude={"sha256"})
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def list_files(model: Path) -> list[FileEntry]:
    """Every file of the SavedModel directory `model` but its card and plan, sorted, with its size and SHA-256."""
    return [
        FileEntry(path=name, bytes=file.bytes, sha256=file.sha256)
        for name, file in digest_files(model).items()
        if name != CARD_PATH.as_posix()
    ]


def write_card(model: Path, card: ModelCard) -> None:
    """Write `card` with its SHA-256 into the SavedModel directory `model`, which is not published yet."""
    path = model / CARD_PATH
    path.parent.mkdir(exist_ok=True)
    as_it_is_read = ModelCard.model_validate_json(card.model_dump_json(exclude_none=True))
    signed = as_it_is_read.model_copy(update={"sha256": digest_card(as_it_is_read)})
    write_whole(path, signed.model_dump_json(indent=1, exclude_none=True) + "\n")
