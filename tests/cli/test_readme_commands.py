"""The README's commands do what it says: every `$ batchscore ...` in a fenced `console` block is run, in order.

They run in one temporary folder with sample_data/, jobs/ and ml-latest-small.zip, so a command may use what an
earlier one wrote. A line that ends with a backslash goes on. What cannot run here is marked by a fence that begins
with ```console no-run. Not run are the two commands in `sh` blocks, which install and test.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOVIELENS = Path(os.environ.get("BATCHSCORE_MOVIELENS") or ROOT.parent / "shared" / "data" / "ml-latest-small.zip")
_FENCE = re.compile(r"^```console *\n(.*?)^```", re.MULTILINE | re.DOTALL)


def readme_commands(text: str) -> list[str]:
    blocks = (block.replace("\\\n", " ") for block in _FENCE.findall(text))
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ batchscore")]


def test_commands_are_found():
    text = "```console\n$ batchscore a \\\n    --b\nout\n$ ls\n```\n```console no-run\n$ batchscore c\n```\n"
    assert readme_commands(text) == ["batchscore a      --b"]


@pytest.mark.process
@pytest.mark.timeout(600)
def test_every_command_runs(tmp_path):
    commands = readme_commands((ROOT / "README.md").read_text("utf-8"))
    assert commands, "the README shows no command to run"
    if not MOVIELENS.exists() and any(MOVIELENS.name in command for command in commands):
        pytest.skip(
            f"real MovieLens ratings are not at {MOVIELENS}; set BATCHSCORE_MOVIELENS to ml-latest-small.zip"
        )
    for folder in ("sample_data", "jobs"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / "ml-latest-small.zip").symlink_to(MOVIELENS.resolve())
    bin_ = tmp_path / ".bin"
    bin_.mkdir()
    (bin_ / "batchscore").write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -c "from batchscore.cli import main; main()" "$@"\n'
    )
    (bin_ / "batchscore").chmod(0o755)
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environ = {**os.environ, "PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": path}
    environ.pop("BATCHSCORE_MODEL", None)
    for command in commands:
        done = subprocess.run(
            ["sh", "-c", command], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
