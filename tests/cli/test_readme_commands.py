"""The README's commands do what it says: every `$ batchscore ...` in a fenced `console` block is run, in order.

They run in one temporary folder with sample_data/ and jobs/ beside, so a command may use what an earlier one wrote.
A line that ends with a backslash goes on. What needs data or a network that are not here is marked for people:
a fence that begins with ```console no-run.
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
    if not (ROOT / "sample_data" / "model").is_dir():
        pytest.skip("sample_data/model is not there yet: `batchscore data synthetic` makes it")
    commands = readme_commands((ROOT / "README.md").read_text("utf-8"))
    assert commands, "the README shows no command to run"
    for folder in ("sample_data", "jobs"):
        if (ROOT / folder).is_dir():
            shutil.copytree(ROOT / folder, tmp_path / folder)
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
