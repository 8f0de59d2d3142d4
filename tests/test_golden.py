"""The golden cases in tests/golden; see batchscore/golden.py. `pytest --update-golden` renews them."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchscore.golden import check_case, find_cases

ROOT = Path(__file__).parent / "golden"


@pytest.mark.tensorflow
@pytest.mark.parametrize("folder", find_cases(ROOT), ids=lambda folder: folder.relative_to(ROOT).as_posix())
def test_golden(folder, tmp_path, models, request):
    def find_model(name: str) -> Path:
        return folder / name if "/" in name else models / name

    update = request.config.getoption("--update-golden")
    differences = check_case(folder, tmp_path, find_model, update=update)
    if differences:
        pytest.fail("\n".join([f"{folder.name} differs:", *differences]), pytrace=False)
