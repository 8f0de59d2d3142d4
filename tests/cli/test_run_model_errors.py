"""What `batchscore run` says of a model that it cannot use: exit code 4, the whole text."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

SAMPLE_MODEL = Path(__file__).parents[2] / "sample_data" / "model" / "1"
SHARD = "1/variables/variables.data-00000-of-00001"
PROBE_INPUTS = {"user_id": ["u1", "u2"], "item_id": ["a", "b"], "value": [0.125, -2.5]}


def test_no_model_given_and_none_beside_the_input(workplace):
    told = workplace.shorten(workplace.command("run", "--input", workplace.pairs, "--output", workplace.output))
    workplace.assert_refused(told, 4, """\
E-MODEL-MISSING: no model is given, and there is none beside the input
  where:    <folder>/model
  expected: a SavedModel directory, or a directory of integer versions of it
  next:     give --model, set BATCHSCORE_MODEL, or export one with `batchscore train`
""")  # fmt: skip


def test_no_model_at_the_place_given(workplace):
    workplace.assert_refused(workplace.run(model=workplace.folder / "models"), 4, """\
E-MODEL-MISSING: there is no model
  where:    <folder>/models
  expected: a SavedModel directory, or a directory of integer versions of it
  next:     correct its path, or export one with `batchscore train`
""")  # fmt: skip


def test_a_file_instead_of_a_saved_model(workplace):
    model = workplace.folder / "model.keras"
    with zipfile.ZipFile(model, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", b"")
    workplace.assert_refused(workplace.run(model=model), 4, """\
E-MODEL-NOT-SAVEDMODEL: the model is a file, not a SavedModel directory
  where:    <folder>/model.keras
  found:    a Keras archive (.keras)
  expected: a directory with saved_model.pb
  next:     load it where it was trained and export it: keras.saving.load_model(PATH).export('model/1'); \
a subclassed model: model.export after one call, or tf.saved_model.save with signatures=
""")  # fmt: skip


@pytest.mark.parametrize(("name", "found"), [(None, "an empty directory"), ("notes.txt", "notes.txt")])
def test_a_directory_that_is_no_saved_model(workplace, name, found):
    model = workplace.folder / "model"
    model.mkdir()
    if name:
        (model / name).touch()
    workplace.assert_refused(workplace.run(model=model), 4, f"""\
E-MODEL-NOT-SAVEDMODEL: the directory is not a SavedModel and has no versions of one
  where:    <folder>/model
  found:    {found}
  expected: saved_model.pb, or directories named 1, 2, ... that contain it
  next:     give the directory that tf.saved_model.save or `batchscore train` wrote
""")  # fmt: skip


def test_a_saved_model_pb_that_is_something_else(workplace):
    model = workplace.folder / "model"
    model.mkdir()
    (model / "saved_model.pb").write_bytes(b"hello world")
    workplace.assert_refused(workplace.run(model=model), 4, """\
E-MODEL-NOT-SAVEDMODEL: saved_model.pb is damaged or is not a SavedModel
  where:    <folder>/model/saved_model.pb
  next:     copy or export the model again
""")  # fmt: skip


def test_a_shard_is_missing(workplace):
    model = workplace.copy_model()
    (model / SHARD).unlink()
    workplace.assert_refused(workplace.run(model=model), 4, """\
E-MODEL-INCOMPLETE: the SavedModel is incomplete
  where:    <folder>/model/1
  found:    missing or short: variables/variables.data-00000-of-00001
  next:     copy or export it again, or pick another version with --model-version
""")  # fmt: skip


def test_a_shard_is_truncated(workplace):
    model = workplace.copy_model()
    size = (model / SHARD).stat().st_size
    (model / SHARD).write_bytes((model / SHARD).read_bytes()[:5])
    workplace.assert_refused(workplace.run(model=model), 4, f"""\
E-MODEL-INCOMPLETE: the SavedModel is incomplete
  where:    <folder>/model/1
  found:    missing or short: variables/variables.data-00000-of-00001 (5 bytes, expected {size})
  next:     copy or export it again, or pick another version with --model-version
""")  # fmt: skip


def test_files_are_not_those_that_the_card_lists(workplace):
    model = workplace.copy_model()
    size = (model / "1" / "saved_model.pb").stat().st_size
    files = [{"path": "saved_model.pb", "bytes": size + 1}, {"path": "assets/users.txt", "bytes": 3}]
    workplace.change_card(files=files)
    workplace.assert_refused(workplace.run(model=model), 4, f"""\
E-MODEL-INCOMPLETE: the SavedModel is incomplete
  where:    <folder>/model/1
  found:    missing or short: saved_model.pb ({size:,} bytes, expected {size + 1:,}), assets/users.txt
  next:     copy or export it again, or pick another version with --model-version
""")  # fmt: skip


@pytest.mark.tensorflow
def test_an_incomplete_version_is_passed_over(workplace):
    model = workplace.copy_model(1, 2)
    (model / "2" / "variables" / "variables.index").unlink()
    told = workplace.run(model=model)
    assert told.exit_code == 0
    assert "INFO model 1 at <folder>/model/1 (highest complete version (version(s) 2 incomplete))" in told.err
    assert "WARNING version 2 of the model is incomplete: scoring with version 1\n" in told.err
    assert told.err.endswith(" s, 1 warning\n")


def test_no_such_version(workplace):
    workplace.assert_refused(workplace.run("--model-version", "7"), 4, """\
E-MODEL-MISSING: there is no version 7
  where:    <echo>
  found:    version(s) 1
  next:     give --model-version one of these, or leave it out for the highest
""")  # fmt: skip


def test_no_such_signature(workplace):
    workplace.assert_refused(workplace.run("--signature", "rank"), 4, """\
E-MODEL-SIGNATURE: the SavedModel has no signature 'rank' (--signature)
  where:    <echo>/1
  found:    known, serving_default
  next:     choose one with --signature, or export the model with signatures={'serving_default': ...}
""")  # fmt: skip


def test_no_such_output(workplace):
    workplace.assert_refused(workplace.run("--score-output", "rating"), 4, """\
E-MODEL-OUTPUT: output 'rating' (--score-output) is not a score of signature 'serving_default'
  found:    score float32 [n]
  expected: a numeric output of shape [n], [n, 1] or [n, 1, 1]
  next:     choose another with --score-output
""")  # fmt: skip


def test_a_card_that_is_none(workplace):
    model = workplace.copy_model()
    (model / "1" / "assets.extra" / "batchscore.json").write_text('{"schema_version": 2, "probes": null}')
    workplace.assert_refused(workplace.run(model=model), 4, """\
E-MODEL-CARD: the model card is not valid
  where:    <folder>/model/1/assets.extra/batchscore.json
    schema_version: Input should be 1
    signature: Field required
    score_output: Field required
    probes: Input should be an object
  next:     export the model again
""")  # fmt: skip


@pytest.mark.tensorflow
def test_probe_rows_that_do_not_fit(workplace):
    model = workplace.copy_model()
    inputs = {"user_id": ["u1", None], "item_id": ["a"], "weight": [1, 2]}
    workplace.change_card(probes={"inputs": inputs, "scores": [0.125, -2.5]})
    workplace.assert_refused(workplace.run(model=model), 4, """\
E-MODEL-CARD: the probe rows of the model card do not fit signature 'serving_default'
    input item_id: 1 values for 2 scores
    input user_id: a value is null
    input value: no values for 2 scores
    weight is no input of the signature
  next:     export the model again
""")  # fmt: skip


@pytest.mark.tensorflow
def test_probes_fail_and_an_earlier_version_passes(workplace, tf):
    model = workplace.copy_model(1, 2, 3, 4)
    tampered = {"inputs": PROBE_INPUTS, "scores": [0.125, -2.0]}
    workplace.change_card(3, probes=tampered)
    workplace.change_card(4, probes=tampered, made_with={"tensorflow": "2.99.0"})
    workplace.assert_refused(workplace.run(model=model), 4, f"""\
E-MODEL-PROBES: model 4 does not give the scores that it gave when it was exported
  where:    <folder>/model/4
  found:    probe row 1 differs by 0.5 under tensorflow {tf.__version__} (c)
  expected: at most 0.000106, as under tensorflow 2.99.0
  next:     run with --model-version 2, whose probes pass, and export the model again
""")  # fmt: skip


@pytest.mark.tensorflow
def test_probes_fail_and_no_version_passes(workplace, tf):
    model = workplace.copy_model()
    workplace.change_card(probes={"inputs": PROBE_INPUTS, "scores": [0.25, -2.5]}, made_with={})
    workplace.assert_refused(workplace.run(model=model), 4, f"""\
E-MODEL-PROBES: model 1 does not give the scores that it gave when it was exported
  where:    <folder>/model/1
  found:    probe row 0 differs by 0.125 under tensorflow {tf.__version__} (c)
  expected: at most 0.000138, as under tensorflow of an unknown version
  next:     install the TensorFlow that it was exported with, or export it again
""")  # fmt: skip


@pytest.mark.tensorflow
def test_a_known_signature_that_is_not_there(workplace):
    model = workplace.copy_model()
    workplace.change_card(known={"signature": "vocabulary", "user_output": "user", "candidate_output": "item"})
    workplace.assert_refused(workplace.run(model=model), 4, """\
E-MODEL-CARD: the card's known signature 'vocabulary' does not fit the SavedModel
  where:    <folder>/model/1
  found:    no such signature
  expected: inputs user_id, item_id; outputs user, item
  next:     export the model again
""")  # fmt: skip


@pytest.mark.tensorflow
def test_every_score_is_no_number(workplace):
    workplace.write_pairs(value=pa.array([float("nan")] * 3, pa.float32()))
    workplace.assert_refused(workplace.run("--allow-nonfinite", "value"), 4, """\
E-MODEL-NONFINITE: no pair has a finite score
  found:    3 pairs scored, all NaN, infinite or beyond float32
  expected: finite scores
  next:     roll back with --model-version, and check the training run of this model
""")  # fmt: skip


@pytest.mark.tensorflow
def test_damaged_variables(workplace):
    shutil.copytree(SAMPLE_MODEL, workplace.folder / "model" / "1")
    path = workplace.folder / "model" / SHARD
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    workplace.write_pairs(movie_id=["1001", "1002", "1003"])
    workplace.assert_refused(workplace.run(model=workplace.folder / "model"), 4, """\
E-MODEL-DAMAGED: variables/variables.data-00000-of-00001 is not the file that was exported
  where:    <folder>/model/1/variables/variables.data-00000-of-00001
  found:    ...
  expected: ...
  next:     copy or export the model again, or pick another version with --model-version
""")  # fmt: skip


@pytest.mark.tensorflow
def test_the_report_of_a_refusal_tells_what_was_known(workplace):
    workplace.write_pairs(value=pa.array([float("nan")] * 3, pa.float32()))
    workplace.run("--allow-nonfinite", "value")
    report = json.loads((workplace.state / "ranked.parquet.failed.json").read_text())
    assert (report["rows_read"], report["pairs_scored"], report["rows_written"]) == (3, 3, 0)
    assert report["bad_rows"] == {"score is not finite": 3}
    assert report["output"] is None
    assert report["model"]["version"] == 1
