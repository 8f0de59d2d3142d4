"""Our words: plain English with the field's terms. A banned word in a text, a page or a name fails here.

Texts are string literals, docstrings and comments of the package, and the pages of the manual.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "batchscore").rglob("*.py"))
PAGES = [
    ROOT / "README.md",
    ROOT / "batchscore" / "ARCHITECTURE.md",
    *sorted((ROOT / "batchscore" / "docs").glob("*.md")),
]

IN_TEXTS = {
    r"\bmend(s|ed|ing)?\b": "fix",
    r"\bjudge[ds]?\b(?!_by)|\bjudge?ment": "evaluated",
    r"\bheld against\b": "compared with",
    r"\bonce\s+an?\s+(pair|distinct|row group|tuple|row|user|candidate|part)\b": "once per",
    r"\b(bytes|one value|one number|one score|one entry|FLOPs)\s+an?\s+(pair|row|user|candidate)\b": "per",
    r"\b(None|null|nothing|Error|\(E-[A-Z-]+\))\s+where\b|\bwhere\s+there\s+(is|are)\b": "if",
    r"[,;]\s+else\s+(?!if\b)": "otherwise",
    r"\bwhy_not": "reason",
    r"\bprints? back\b": "round-trips",
    r"\banew\b": "again",
    r"\bbegun\b": "started",
    r"\bwhoever\b": "name who it is",
    r"\b(nobody|somebody|anybody|everybody)\b": "no one, someone; better: name who it is",
    r"\bone's own\b": "your own",
    r"\bfor want of\b": "because there is no ...",
    r"\b(lest|thereof|whence|hitherto|thereby|wherein|albeit)\b": "a word that is spoken today",
    r"\bother ones than\b": "different from",
    r"\bwhat goes wrong\b": "errors",
}
"""Banned pattern -> what to write instead, in texts and pages."""

IN_NAMES = {
    r"(^|_)why(_|$)": "reason",
    r"(^|_)judg": "evaluate",
    r"(^|_)begun(_|$)": "started",
    r"(^|_)(MOST|LEAST)_": "MAX_, MIN_",
    r"^_?spell(_|$)": "format_",
    r"^_?tell_failures$": "translate_errors",
    r"(^|_)nobody|whoever|somebody": "name who it is",
    r"(^|_)mend(_|$)": "fix",
    r"Impersonal": "NonPersonalized",
}
"""Banned pattern -> what to write instead, in names that the package defines."""

ALLOWED = {
    ("batchscore/report_parts.py", "why_not"): "older reports have the field, and are still read",
    ("batchscore/docs/report.md", "why_not"): "the page says how older reports call the field",
    ("batchscore/training/training_report.py", "judged"): "a field of the report, which programs read",
    ("batchscore/training/training_report.py", "judg"): "the same as a name",
    ("batchscore/training/training_report.py", "_judg"): "the same as a name",
    ("batchscore/training/live_version.py", "judg"): "a field of the model card, which older models have",
    ("batchscore/docs/compare.md", "nobody"): "a user id of an example",
    ("batchscore/docs/report.md", "judged"): "the field of the training report",
}
"""(File, what was found) -> the reason why it may stay."""


class Text(NamedTuple):
    """A piece of text or a name in a file, with the line that it begins in."""

    line: int
    text: str


def texts_of(source: str) -> Iterator[Text]:
    """String literals, docstrings and comments. Parts of one literal that stand side by side are one text."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield Text(node.lineno, node.value)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield Text(token.start[0], token.string)


def names_of(source: str) -> Iterator[Text]:
    """Names that the source defines: functions, classes, arguments, variables and attributes."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield Text(node.lineno, node.name)
        elif isinstance(node, ast.arg):
            yield Text(node.lineno, node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield Text(node.lineno, node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield Text(node.lineno, node.attr)


def find(texts: Iterator[Text], banned: dict[str, str]) -> Iterator[tuple[int, str, str]]:
    """(line, what was found, what to write instead) of every banned word."""
    for line, text in texts:
        for pattern, instead in banned.items():
            yield from ((line, found[0], instead) for found in re.finditer(pattern, text))


def problems_of(path: Path) -> list[str]:
    name, content = str(path.relative_to(ROOT)), path.read_text("utf-8")
    if path.suffix == ".py":
        found = [*find(texts_of(content), IN_TEXTS), *find(names_of(content), IN_NAMES)]
    else:
        found = list(find((Text(number, line) for number, line in enumerate(content.splitlines(), 1)), IN_TEXTS))
    return [
        f"{name}:{line}: {text!r}; write: {instead}" for line, text, instead in found if (name, text) not in ALLOWED
    ]


@pytest.mark.parametrize("path", [*SOURCES, *PAGES], ids=lambda path: str(path.relative_to(ROOT)))
def test_no_banned_word(path):
    assert problems_of(path) == []


PLANTED = '''
"""A night is judged."""
MOST_ROWS = 1  # mend it
def run(why, path):
    """The report; None where
    there is none."""
    begun = f"{path}: nobody can " "read it"
    path.why_not = f"{begun} anew"
'''


def test_the_finder_finds_what_is_planted():
    texts = {found for _, found, _ in find(texts_of(PLANTED), IN_TEXTS)}
    assert texts == {"judged", "mend", "None where", "nobody", "anew"}
    names = {found for _, found, _ in find(names_of(PLANTED), IN_NAMES)}
    assert names == {"MOST_", "why", "begun", "why_"}


@pytest.mark.parametrize(
    "text", ["the folder where it lies", "if there is none", "x if y else z", "fits once per pair"]
)
def test_plain_words_pass(text):
    assert not list(find(iter([Text(1, text)]), IN_TEXTS))


def test_what_is_allowed_is_still_there():
    for name, found in ALLOWED:
        content = (ROOT / name).read_text("utf-8")
        assert found.strip("_") in content, f"{name} no longer has {found!r}: remove it from ALLOWED"
