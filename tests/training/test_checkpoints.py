from __future__ import annotations

import importlib
import sys

import pytest

from batchscore.errors import OutputError
from batchscore.publishing.model_base import hold_model_base
from batchscore.settings.train import TrainSettings
from batchscore.training.metrics import Epoch

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("keras2")]

EPOCH = Epoch(1, 0.5, {"rating": {"RMSE": 1.0}})


@pytest.fixture
def identify(tmp_path, monkeypatch):
    """The name of the state's folder for a factory whose modules are written anew."""
    from batchscore.training.checkpoints import open_state

    code = tmp_path / "code"
    monkeypatch.syspath_prepend(code)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def _identify(factory, sources):
        for name, text in sources.items():
            (code / name).parent.mkdir(parents=True, exist_ok=True)
            (code / name).write_text(text)
        for name in [name for name in sys.modules if name.startswith("rankers")]:
            del sys.modules[name]
        importlib.invalidate_caches()
        importlib.import_module(factory.partition(":")[0])
        settings = TrainSettings(input="in.csv", output="model", model={"factory": factory, "factory_folder": code})
        with hold_model_base(tmp_path / "model") as base:
            return open_state(base, {"input": [1, 2, "x"]}, settings).name

    return _identify


@pytest.mark.parametrize(
    ("factory", "sources", "changed"),
    [
        ("rankers:build", {"rankers.py": "import rankers_layers", "rankers_layers.py": ""}, "rankers_layers.py"),
        (
            "rankers.ours.models:build",
            {
                "rankers/__init__.py": "", "rankers/layers.py": "", "rankers/ours/__init__.py": "",
                "rankers/ours/models.py": "from rankers import layers",
            },
            "rankers/layers.py",
        ),
    ],
    ids=["beside", "package"],
)  # fmt: skip
def test_a_factory_is_another_one_where_what_it_imports_from_its_place_has_changed(
    identify, factory, sources, changed
):
    first = identify(factory, sources)
    assert identify(factory, sources) == first
    assert identify(factory, sources | {changed: "width = 8"}) != first


def test_a_state_that_does_not_fit_the_model_says_how_to_begin_anew(tmp_path, tf):
    from batchscore.training.checkpoints import Checkpoints

    def checkpoints(width):
        model = tf.keras.Sequential([tf.keras.layers.Dense(width)])
        model.build((None, 2))
        model.compile("adam")
        return Checkpoints(tmp_path / "state", model)

    checkpoints(3).save([EPOCH], 1)
    assert checkpoints(3).resume() == [EPOCH]
    with pytest.raises(OutputError) as caught:
        checkpoints(4).resume()
    assert f"remove {tmp_path / 'state'} to start again" in str(caught.value)
    (tmp_path / "state" / "epoch-00001" / "state.json").write_text("[")
    with pytest.raises(OutputError, match="cannot be resumed"):
        checkpoints(3).resume()
