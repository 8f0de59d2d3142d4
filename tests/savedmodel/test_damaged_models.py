"""A model whose files are not those that were exported: refused by name, before anything is loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from batchscore.errors import ModelError
from batchscore.savedmodel.card import CARD_PATH, list_files, read_card, write_card
from batchscore.savedmodel.fingerprint import PLAN_FILES
from batchscore.savedmodel.saved_model import read_saved_model

SAMPLE = Path(__file__).parents[2] / "sample_data" / "model" / "1"
FILES = sorted(path.relative_to(SAMPLE).as_posix() for path in SAMPLE.rglob("*") if path.is_file())
FLIPS = 24


@pytest.fixture
def model(tmp_path):
    shutil.copytree(SAMPLE, tmp_path / "model")
    return tmp_path / "model"


def flips(path):
    """The file with one bit flipped, at places spread over the whole of it; and then the file as it was."""
    content = path.read_bytes()
    for number, place in enumerate(np.linspace(0, len(content) - 1, FLIPS, dtype=int)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << (number % 8)
        path.write_bytes(flipped)
        yield int(place)
    path.write_bytes(content)


@pytest.mark.parametrize("name", [name for name in FILES if not name.startswith(PLAN_FILES)])
def test_a_flipped_bit_is_never_scored_with(model, name):
    before = read_saved_model(model)
    ids = set()
    for _ in flips(model / name):
        with pytest.raises(ModelError) as caught:
            read_saved_model(model)
        assert caught.value.exit_code == 4
        ids.add(caught.value.error_id)
        if caught.value.error_id == "E-MODEL-DAMAGED":
            assert name in str(caught.value)
    assert "E-MODEL-DAMAGED" in ids
    assert read_saved_model(model) == before


def test_another_file_of_the_same_size_is_told(model):
    path = model / "variables" / "variables.data-00000-of-00001"
    path.write_bytes(b"\0" * path.stat().st_size)
    with pytest.raises(ModelError) as caught:
        read_saved_model(model)
    assert caught.value.error_id == "E-MODEL-DAMAGED"
    assert "variables/variables.data-00000-of-00001 is not the file that was exported" in str(caught.value)


def test_trusting_the_model_does_not_mean_that_it_may_be_damaged(model):
    next(flips(model / "saved_model.pb"))
    with pytest.raises(ModelError):
        read_saved_model(model, trust_model=True)


def test_a_card_that_somebody_changed_is_told_and_how_to_mean_it(model):
    path = model / CARD_PATH
    card = json.loads(path.read_text())
    path.write_text(json.dumps(card | {"fill": {"user_id": "7"}}))
    with pytest.raises(ModelError, match="the model card was changed after it was written") as caught:
        read_saved_model(model)
    assert "delete its sha256" in str(caught.value)
    del card["sha256"]
    path.write_text(json.dumps(card | {"fill": {"user_id": "7"}}))
    assert read_saved_model(model).card.fill == {"user_id": "7"}


def test_the_layout_of_the_card_is_nobodys_concern(model):
    path = model / CARD_PATH
    card = read_card(model)
    path.write_text(json.dumps(json.loads(path.read_text()), indent=4, sort_keys=True))
    assert read_card(model) == card


def test_a_card_without_hashes_stays_valid(model):
    """As any other trainer writes it."""
    path = model / CARD_PATH
    card = json.loads(path.read_text())
    del card["sha256"]
    for entry in card["files"]:
        del entry["sha256"]
    path.write_text(json.dumps(card))
    assert read_saved_model(model).card.files[0].sha256 is None
    path = model / "saved_model.pb"
    path.write_bytes(path.read_bytes() + b"\x12\x00")
    with pytest.raises(ModelError, match="E-MODEL-INCOMPLETE"):
        read_saved_model(model)


def test_the_card_remembers_every_file_but_itself_and_a_plan(model):
    assert {entry.path for entry in list_files(model)} == {
        name for name in FILES if name != CARD_PATH.as_posix() and not name.startswith(PLAN_FILES)
    }
    card = read_card(model)
    assert card.files == list_files(model)
    before = (model / CARD_PATH).read_bytes()
    write_card(model, card)
    assert (model / CARD_PATH).read_bytes() == before, "the sample's card is as it is written now"
