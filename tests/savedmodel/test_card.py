"""The model card: its schema, which any trainer may write, and what is said of a wrong one."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from batchscore.errors import ModelError
from batchscore.savedmodel.card import CARD_PATH, ModelCard, Probes, read_card, write_card

MINIMAL = {
    "signature": "serving_default",
    "score_output": "score",
    "user_input": "user_id",
    "candidate_input": "movie_id",
    "probes": {"inputs": {"user_id": ["1"], "movie_id": [7]}, "scores": [0.25]},
}
WHOLE = MINIMAL | {
    "schema_version": 1,
    "known": {"signature": "known", "user_output": "user_known", "candidate_output": "movie_known"},
    "files": [{"path": "saved_model.pb", "bytes": 10}],
    "made_with": {"tensorflow": "2.21.0"},
    "training": {"rmse": 0.9, "anything": ["goes", {"here": None}]},
}


def put(tmp_path, document):
    path = tmp_path / CARD_PATH
    path.parent.mkdir()
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return tmp_path


def test_what_was_written_is_read(tmp_path):
    card = ModelCard.model_validate(WHOLE)
    write_card(tmp_path, card)
    assert read_card(tmp_path) == card
    assert json.loads((tmp_path / "assets.extra" / "batchscore.json").read_text())["schema_version"] == 1


def test_a_card_of_another_trainer_needs_only_what_the_run_cannot_know(tmp_path):
    card = read_card(put(tmp_path, MINIMAL))
    assert (card.known, card.files, card.made_with) == (None, [], {})


def test_the_same_card_is_the_same_bytes(tmp_path):
    written = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_card(tmp_path / name, ModelCard.model_validate(WHOLE))
        written.append((tmp_path / name / CARD_PATH).read_bytes())
    assert written[0] == written[1]


def test_no_card_is_none(tmp_path):
    assert read_card(tmp_path) is None


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("", "    the whole card: Invalid JSON"),
        ('{"signature": ', "Invalid JSON"),
        ("[]", "Input should be an object"),
        ({key: value for key, value in MINIMAL.items() if key != "signature"}, "signature: Field required"),
        (MINIMAL | {"schema_version": 2}, "schema_version: Input should be 1"),
        (MINIMAL | {"singature": "s"}, "singature: Extra inputs are not permitted"),
        (MINIMAL | {"probes": {"inputs": {}, "scores": ["x"]}}, "probes.scores.0: Input should be a valid number"),
        (MINIMAL | {"files": [{"path": "a"}]}, "files.0.bytes: Field required"),
    ],
)
def test_a_wrong_card_is_refused_with_the_place(tmp_path, document, said):
    with pytest.raises(ModelError, match="E-MODEL-CARD") as caught:
        read_card(put(tmp_path, document))
    assert said in str(caught.value)
    assert str(CARD_PATH) in str(caught.value)


def test_a_card_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / CARD_PATH).mkdir(parents=True)
    with pytest.raises(ModelError, match="cannot be read"):
        read_card(tmp_path)


def test_the_card_of_the_manual_is_one_with_every_key():
    text = (Path(__file__).parents[2] / "batchscore" / "docs" / "models.md").read_text("utf-8")
    (block,) = re.findall(r"^```json\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    card = ModelCard.model_validate_json(block)
    assert card.model_fields_set == set(ModelCard.model_fields)


def test_a_card_that_lacks_keys_of_later_versions_is_whole(tmp_path):
    write_card(tmp_path, ModelCard(signature="s", score_output="o", probes=Probes(inputs={}, scores=[])))
    path = tmp_path / CARD_PATH
    document = json.loads(path.read_text())
    del document["sha256"], document["lists"]
    said = json.dumps(document, sort_keys=True, separators=(",", ":"))
    path.write_text(json.dumps(document | {"sha256": hashlib.sha256(said.encode()).hexdigest()}))
    assert read_card(tmp_path).lists == {}
