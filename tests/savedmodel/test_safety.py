from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from batchscore.errors import ModelError
from batchscore.savedmodel.proto import SavedModelProto
from batchscore.savedmodel.risky_ops import CHECKPOINT_OPS, RISKY_OPS, TEXT_TABLE_OPS, computing_ops
from batchscore.savedmodel.safety import is_inside
from batchscore.savedmodel.saved_model import read_saved_model

WHAT = {
    "ReadFile": "reads files",
    "WriteFile": "writes files",
    "MatchingFiles": "reads files",
    "EagerPyFunc": "calls Python",
    "PyFunc": "calls Python",
    "PyFuncStateless": "calls Python",
    "TextLineDataset": "reads files",
    "PrintV2": "writes to file:///nowhere/stolen",
    "InitializeTableFromTextFileV2": "reads a file that is no asset of the model",
    "SaveV2": "writes files while it scores or loads",
    "DebugIdentityV2": "writes what it sees to a file or an address",
}

ECHO = Path(__file__).parents[1] / "models" / "echo"


def refusal(path):
    with pytest.raises(ModelError) as caught:
        read_saved_model(path)
    assert (caught.value.error_id, caught.value.exit_code) == ("E-MODEL-UNTRUSTED", 4)
    return str(caught.value)


@pytest.mark.tensorflow
@pytest.mark.parametrize("op", WHAT)
def test_an_op_that_does_more_than_compute_is_refused(exports, op):
    message = refusal(exports("risky") / op)
    assert f"found:    {op}\n" in message
    assert f"    {op} {WHAT[op]}: node {op} in function __inference_" in message
    assert "--trust-model" in message
    assert [hazard.op for hazard in read_saved_model(exports("risky") / op, trust_model=True).hazards] == [op]


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", ["nested", "unused"])
def test_functions_within_functions_and_functions_that_nothing_calls_are_looked_into(exports, name):
    assert "ReadFile reads files: node ReadFile in function" in refusal(exports("risky") / name)


@pytest.mark.tensorflow
@pytest.mark.parametrize("kind", ["modules/heads", "modules/text_table", "modules/renamed", "modules/hashed",
                                  "modules/mutable", "modules/listwise", "tf_keras/exported", "tf_keras/saved",
                                  "keras3/exported"])  # fmt: skip
def test_ordinary_exports_are_not_refused(exports, kind):
    base, name = kind.split("/")
    assert read_saved_model(exports(base) / name).hazards == ()


@pytest.fixture
def model(tmp_path):
    """A copy of a small model that a test may change."""
    path = tmp_path / "model"
    shutil.copytree(ECHO / "1", path)
    shutil.rmtree(path / "assets.extra")
    return path


def change(path, edit):
    pb = path / "saved_model.pb"
    saved_model = SavedModelProto.FromString(pb.read_bytes())
    edit(saved_model.meta_graphs[0])
    pb.write_bytes(saved_model.SerializeToString())


def test_an_op_of_the_main_graph_is_found(model):
    change(model, lambda graph: graph.graph_def.node.add(name="spy", op="PyFunc"))
    assert "PyFunc calls Python: node spy in the main graph" in refusal(model)


def test_an_op_is_found_under_other_tags_too(model):
    pb = model / "saved_model.pb"
    saved_model = SavedModelProto.FromString(pb.read_bytes())
    other = saved_model.meta_graphs.add()
    other.meta_info_def.tags.append("train")
    other.graph_def.node.add(name="spy", op="PyFunc")
    pb.write_bytes(saved_model.SerializeToString())
    assert "PyFunc" in refusal(model)


@pytest.mark.parametrize("op", ["SentencepieceTokenizeOp", "_Send", "TPUExecute", "readfile"])
def test_what_is_not_known_to_be_harmless_is_refused(model, op):
    change(model, lambda graph: graph.graph_def.node.add(name="other", op=op))
    assert f"{op} is unknown: a custom op, or one that is not known to be harmless: node other" in refusal(model)


def test_a_call_of_a_function_by_its_name_is_no_unknown_op(model):
    def call(graph):
        graph.graph_def.node.add(name="call", op=graph.graph_def.library.function[0].signature.name)

    change(model, call)
    assert read_saved_model(model).hazards == ()


def test_a_function_named_like_an_op_hides_nothing(model):
    def rename(graph):
        graph.graph_def.library.function.add().signature.name = "ReadFile"
        graph.graph_def.node.add(name="call", op="ReadFile")

    change(model, rename)
    assert "ReadFile reads files: node call in the main graph" in refusal(model)


@pytest.mark.parametrize(("op", "attribute", "value", "harmless"), [
    ("PrintV2", "output_stream", b"stderr", True),
    ("PrintV2", "output_stream", b"file:///tmp/x", False),
    ("DecodeProtoV2", "descriptor_source", b"local://", True),
    ("DecodeProtoV2", "descriptor_source", b"/etc/descriptors", False),
    ("FixedUnigramCandidateSampler", "vocab_file", b"", True),
    ("FixedUnigramCandidateSampler", "vocab_file", b"/etc/words", False),
])  # fmt: skip
def test_some_ops_are_judged_by_an_attribute(model, op, attribute, value, harmless):
    def add(graph):
        node = graph.graph_def.node.add(name="judged", op=op)
        node.attr.add(key=attribute).value.s = value

    change(model, add)
    assert (read_saved_model(model, trust_model=True).hazards == ()) is harmless


def test_saving_is_harmless_only_where_nothing_else_reaches_it(model):
    def run_at_load(graph):
        saver = graph.saver_def.save_tensor_name.partition(":")[0]
        graph.graph_def.node.add(name="first", op="NoOp", input=[f"^{saver}"])
        graph.collection_def.add(key="legacy_init_op").value.node_list.value.append("first")

    change(model, run_at_load)
    assert "SaveV2 writes files while it scores or loads" in refusal(model)


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", "a/../../../b", "", "..", "a\\..\\b"])
def test_an_asset_outside_the_model_is_refused(model, name):
    change(model, lambda graph: graph.asset_file_def.add(filename=name))
    assert f"asset leaves the model's directory: {name!r}" in refusal(model)


def test_an_asset_that_is_a_link_out_of_the_model_is_refused(model, tmp_path):
    (tmp_path / "secret").touch()
    (model / "assets").mkdir(exist_ok=True)
    (model / "assets" / "words").symlink_to(tmp_path / "secret")
    change(model, lambda graph: graph.asset_file_def.add(filename="words"))
    assert "asset leaves the model's directory: 'words'" in refusal(model)
    assert is_inside("other", model)


def test_a_missing_asset_makes_the_model_incomplete(model):
    change(model, lambda graph: graph.asset_file_def.add(filename="words.txt"))
    with pytest.raises(ModelError, match=r"E-MODEL-INCOMPLETE(.|\n)*missing: assets/words\.txt"):
        read_saved_model(model)


def test_many_hazards_are_listed_shortly(model):
    def add(graph):
        for number in range(30):
            graph.graph_def.node.add(name=f"spy{number}", op="PyFunc")

    change(model, add)
    message = refusal(model)
    assert "PyFunc (30x)" in message
    assert "and 22 more" in message
    assert "spy8" not in message


@pytest.mark.tensorflow
def test_the_lists_of_ops_are_those_of_the_installed_tensorflow(tf):
    from tensorflow.core.framework import op_def_pb2
    from tensorflow.python.client import pywrap_tf_session

    buffer = pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList())
    registered = {op.name for op in op_def_pb2.OpList.FromString(buffer).op}
    judged = [computing_ops(), RISKY_OPS.keys(), CHECKPOINT_OPS.keys(), TEXT_TABLE_OPS]
    for index, ops in enumerate(judged):
        assert ops <= registered, tf.__version__
        assert not any(ops & other for other in judged[index + 1 :])
