"""A folder with pairs to run on, and what every refusal must leave behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest


@dataclass(frozen=True)
class Workplace:
    """`pairs.parquet` to be scored by `model` into `ranked.parquet`, all in `folder`."""

    folder: Path
    echo: Path
    command: Callable[..., Any]

    @property
    def pairs(self) -> Path:
        return self.folder / "pairs.parquet"

    @property
    def output(self) -> Path:
        return self.folder / "ranked.parquet"

    @property
    def state(self) -> Path:
        return self.folder / "_batchscore"

    def write_pairs(self, **columns: Any) -> None:
        """Three good pairs; `columns` replace or add some."""
        table = {
            "user_id": ["u1", "u1", "u2"],
            "item_id": ["a", "b", "a"],
            "value": pa.array([1, 2, 3], pa.float32()),
        }
        pq.write_table(pa.table(table | columns), self.pairs, write_page_checksum=True)

    def copy_model(self, *versions: int) -> Path:
        """A model of the test's own, with these versions of `echo`."""
        for version in versions or (1,):
            shutil.copytree(self.echo / "1", self.folder / "model" / str(version))
        return self.folder / "model"

    def change_card(self, version: int = 1, **changes: Any) -> None:
        """Change the model card of a version of the model that `copy_model` made."""
        path = self.folder / "model" / str(version) / "assets.extra" / "batchscore.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    def run(self, *flags: object, model: Path | None = None) -> Any:
        """`batchscore run` with `model` (default: echo) and further flags; paths in what it tells are shortened."""
        return self.shorten(
            self.command(
                "run", "--input", self.pairs, "--output", self.output, "--model", model or self.echo, *flags
            )
        )

    def shorten(self, told: Any) -> Any:
        return type(told)(told.exit_code, self.shorten_text(told.out), self.shorten_text(told.err))

    def shorten_text(self, text: str) -> str:
        return text.replace(str(self.folder), "<folder>").replace(str(self.echo), "<echo>")

    def assert_refused(self, told: Any, exit_code: int, message: str, *, recorded: bool = True) -> None:
        """The whole text, no output, nothing temporary, and (once the output was claimed) the failure's report."""
        assert _without_foreign_words(told.troubles, f"ERROR {message}") == f"ERROR {message}"
        assert (told.exit_code, told.out) == (exit_code, "")
        assert not self.output.is_file()
        assert not list(self.folder.rglob("*.tmp"))
        failed = self.state / "ranked.parquet.failed.json"
        if recorded:
            report = json.loads(failed.read_text())
            error = self.shorten_text(report["error"]) + "\n"
            assert _without_foreign_words(error, message) == message
            assert (report["status"], report["exit_code"]) == ("failed", exit_code)
            assert report["error_id"] == message.split(":", maxsplit=1)[0]
        else:
            assert not failed.exists()


def _without_foreign_words(text: str, expected: str) -> str:
    """`text` with `...` where a line of `expected` ends so: the words of a library, which may change them."""
    lines = text.splitlines(keepends=True)
    for index, line in enumerate(expected.splitlines(keepends=True)):
        if line.endswith(" ...\n") and index < len(lines) and lines[index].startswith(line.removesuffix("...\n")):
            lines[index] = line
    return "".join(lines)


@pytest.fixture
def workplace(tmp_path, echo, batchscore, monkeypatch) -> Workplace:
    monkeypatch.delenv("BATCHSCORE_MODEL", raising=False)
    place = Workplace(tmp_path, echo, batchscore)
    place.write_pairs()
    return place
