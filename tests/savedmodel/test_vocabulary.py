from __future__ import annotations

import pytest

from batchscore.inspection.inspection import inspect_model

pytestmark = pytest.mark.tensorflow

USERS = [f"u{number}" for number in range(50)]
ITEMS = [f"m{number}" for number in range(30)]
BOTH = {"user_id": (50, "the graph", USERS), "movie_id": (30, "the graph", ITEMS)}


@pytest.mark.parametrize(("kind", "name", "signature", "inputs"), [
    ("modules", "heads", "serving_default", BOTH),
    ("modules", "label", "serving_default", BOTH),
    ("modules", "text_table", "serving_default",
     {"user_id": (50, "assets/text_table.users.txt", USERS), "item": (30, "the graph", list(range(100, 130)))}),
    ("modules", "renamed", "rank", {"uid": (50, "the graph", [str(n) for n in range(50)]),
                                    "article": (30, "the graph", ITEMS)}),
    ("modules", "mutable", "serving_default", {"user_id": (50, "the checkpoint", []),
                                               "movie_id": (30, "the graph", ITEMS)}),
    ("keras3", "exported", "serve", BOTH),
    ("keras3", "exported", "serving_default", BOTH),
    ("tf_keras", "exported", "serving_default", BOTH),
    ("tf_keras", "saved", "serving_default", BOTH),
])  # fmt: skip
def test_the_table_that_an_id_is_looked_up_in(exports, kind, name, signature, inputs):
    found = inspect_model(exports(kind) / name).vocabularies[signature]
    tables = {name: found[name].table for name in inputs}
    assert {name: (table.entries, table.filled_from, table.ids(1000)) for name, table in tables.items()} == inputs
    assert all(table.name for table in tables.values())
    assert len({table.name for table in tables.values()}) == 2


def test_hashed_ids_and_features_have_no_vocabulary(exports):
    found = inspect_model(exports("modules") / "hashed").vocabularies["serving_default"]
    assert {name: item.table for name, item in found.items()} == dict.fromkeys(found)
    assert found["user_id"].reason == "its values are hashed: there is no vocabulary"
    assert found["age"].reason == "it is not looked up in a table"


def test_a_few_ids_are_read_without_the_rest(exports):
    for name in ("heads", "text_table"):
        vocabularies = inspect_model(exports("modules") / name).vocabularies["serving_default"]
        assert vocabularies["user_id"].table.ids(3) == ["u0", "u1", "u2"]
